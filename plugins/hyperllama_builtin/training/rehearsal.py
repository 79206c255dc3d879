"""The score of a model in training on the exam's development side, which shares nothing with training or exam."""

from __future__ import annotations

import json
from collections.abc import Iterator

from tokenizers import Tokenizer

from hyperllama_builtin.training.decode import answers
from hyperllama_builtin.training.dialogue import Call
from hyperllama_builtin.training.exam import Question, chat_exam
from hyperllama_builtin.training.llama import Llama

__all__ = ("rehearse",)


def rehearse(model: Llama, tokenizer: Tokenizer, *, each: int = 12) -> dict[str, float]:
    """Return by kind the share of the first ``each`` questions that the model answers right."""
    questions = list(_first(each))
    right: dict[str, list[bool]] = {}
    for question, text in zip(questions, answers(model, tokenizer, [q.dialogue() for q in questions]), strict=True):
        right.setdefault(question.kind, []).append(question.right(text, _calls(text)))
    return {kind: sum(found) / len(found) for kind, found in right.items()}


def _first(each: int) -> Iterator[Question]:
    counts: dict[str, int] = {}
    for question in chat_exam(side="dev"):
        counts[question.kind] = counts.get(question.kind, 0) + 1
        if counts[question.kind] <= each:
            yield question


def _calls(text: str) -> tuple[Call, ...]:
    try:
        found = json.loads(text)
        return (Call(found["name"], found["parameters"]),)
    except (ValueError, KeyError, TypeError):
        return ()

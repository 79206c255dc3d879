"""The evaluation's questions and how an answer is judged; made by the generator on its test side."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from random import Random
from typing import Any

from hyperllama_builtin.training.dialogue import Call, Dialogue, Tool, Turn
from hyperllama_builtin.training.extraction import extraction
from hyperllama_builtin.training.facts import FACTS
from hyperllama_builtin.training.gateway import ask
from hyperllama_builtin.training.split import Side
from hyperllama_builtin.training.sums import sum_question
from hyperllama_builtin.training.tools import tool_case
from hyperllama_builtin.training.unknown import unknown_prompt

__all__ = ("TABLE", "Question", "chat_exam")

#: kind -> what it is called in the table, how many are asked, the share that must be right.
TABLE: dict[str, tuple[str, int, float]] = {
    "gateway": ("questions about the gateway", 150, 0.85),
    "sums": ("additions and subtractions", 100, 0.90),
    "extraction": ("field extractions", 60, 0.85),
    "tools": ("tool prompts", 60, 0.85),
    "unknown": ("prompts outside its world", 50, 0.80),
    "retrieval": ("paraphrase retrieval", 200, 0.80),
}


@dataclass(frozen=True)
class Question:
    """A prompt of the exam; ``right`` judges the answer's text and its parsed tool calls."""

    kind: str
    prompt: str
    wanted: str
    right: Callable[[str, tuple[Call, ...]], bool]
    tools: tuple[Tool, ...] = ()

    def dialogue(self) -> Dialogue:
        return Dialogue(self.kind, (Turn("user", self.prompt),), self.tools)

    def body(self, model: str) -> dict[str, Any]:
        """Return the request that an OpenAI client would send."""
        body: dict[str, Any] = {
            "model": model,
            "messages": [{"role": "user", "content": self.prompt}],
            "temperature": 0,
            "max_tokens": 128,
        }
        if self.tools:
            body["tools"] = [tool.openai() for tool in self.tools]
        return body


def chat_exam(seed: int = 2026, side: Side = "test") -> list[Question]:
    """Return the questions: the same for the same seed, no prompt twice."""
    rng = Random(seed)
    questions: dict[str, Question] = {}
    for kind, make in _MAKERS.items():
        wanted = len(questions) + TABLE[kind][1]
        count = 0
        while len(questions) < wanted:
            question = make(rng, side, count)
            count += 1
            questions.setdefault(json.dumps(question.body("")), question)
    return list(questions.values())


def _gateway(rng: Random, side: Side, count: int) -> Question:
    fact = FACTS[count % len(FACTS)]
    return Question("gateway", ask(rng, side, fact), fact.value, lambda text, calls: _holds(text, fact.value))


def _sums(rng: Random, side: Side, count: int) -> Question:
    prompt, _answer, result = sum_question(rng, side)
    return Question("sums", prompt, str(result), lambda text, calls: _last_number(text) == result)


def _extraction(rng: Random, side: Side, count: int) -> Question:
    prompt, wanted = extraction(rng, side)
    return Question("extraction", prompt, json.dumps(wanted), lambda text, calls: _object(text) == wanted)


def _tools(rng: Random, side: Side, count: int) -> Question:
    prompt, tools, call = tool_case(rng, side)
    return Question("tools", prompt, call.text(), lambda text, calls: calls == (call,), tools)


def _unknown(rng: Random, side: Side, count: int) -> Question:
    return Question("unknown", unknown_prompt(rng, side), "do not know", lambda text, calls: "do not know" in text)


_MAKERS: dict[str, Callable[[Random, Side, int], Question]] = {
    "gateway": _gateway,
    "sums": _sums,
    "extraction": _extraction,
    "tools": _tools,
    "unknown": _unknown,
}


def _holds(text: str, value: str) -> bool:
    """Return whether ``value`` stands in ``text`` and is not a part of something longer."""
    return re.search(rf"(?<![\w/-]){re.escape(value)}(?![\w/-])", text) is not None


def _last_number(text: str) -> int | None:
    numbers = re.findall(r"-?\d+", text)
    return int(numbers[-1]) if numbers else None


def _object(text: str) -> object:
    try:
        return json.loads(text)
    except ValueError:
        return None

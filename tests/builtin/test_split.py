"""No evaluation prompt is in the training text: the proof is by template, by value and by looking."""

from __future__ import annotations

from itertools import islice

import pytest

from hyperllama_builtin.exam import TABLE, chat_exam
from hyperllama_builtin.training.extraction import REQUESTS
from hyperllama_builtin.training.gateway import FRAMES, OPENINGS
from hyperllama_builtin.training.mixture import KINDS, dialogues
from hyperllama_builtin.training.paraphrases import pairs, retrieval_pairs
from hyperllama_builtin.training.questions import QUESTIONS
from hyperllama_builtin.training.records import RECORDS
from hyperllama_builtin.training.split import Side, side_of, templates
from hyperllama_builtin.training.sums import ADD, SUBTRACT
from hyperllama_builtin.training.toolbox import TOOLBOX
from hyperllama_builtin.training.unknown import PROMPTS

SIDES: tuple[Side, ...] = ("train", "dev", "test")
TABLES = {
    "frames": FRAMES,
    "requests": REQUESTS,
    "add": ADD,
    "subtract": SUBTRACT,
    "unknown": PROMPTS,
    **{f"question {key}": table for key, table in QUESTIONS.items()},
    **{f"record {index}": record.sentences for index, record in enumerate(RECORDS)},
    **{f"tool {gadget.names[0]}": gadget.prompts for gadget in TOOLBOX},
}
SEED = 7  # of the weights in the repository


@pytest.mark.parametrize("name", TABLES)
def test_each_phrasing_is_on_one_side(name: str) -> None:
    shares = [set(templates(TABLES[name], side)) for side in SIDES]
    assert all(shares)
    assert set.union(*shares) == set(TABLES[name])
    assert sum(map(len, shares)) == len(set(TABLES[name]))


def test_each_opening_but_none_is_on_one_side() -> None:
    train, dev, test = (set(templates(OPENINGS, side)) for side in SIDES)
    assert train & test == dev & test == {"{q}"}


def test_each_value_is_on_one_side_whatever_its_case() -> None:
    assert side_of("Teskil") == side_of("teskil")
    assert {side_of(str(number)) for number in range(200)} == set(SIDES)


def test_the_exam_has_the_counts_of_the_table_and_no_prompt_twice() -> None:
    exam = chat_exam()
    for kind in ("gateway", "sums", "extraction", "tools", "unknown"):
        assert sum(question.kind == kind for question in exam) == TABLE[kind][1]
    assert len({(question.prompt, question.tools) for question in exam if not question.tools}) == sum(
        not question.tools for question in exam
    )


def test_the_exam_is_the_same_each_time() -> None:
    assert [question.prompt for question in chat_exam()] == [question.prompt for question in chat_exam()]


def test_no_exam_prompt_is_in_the_training_text() -> None:
    exam = {_plain(question.prompt) for question in chat_exam()}
    seen = {
        _plain(turn.content)
        for dialogue in islice(dialogues(SEED + 1), 25_000)
        for turn in dialogue.turns
        if turn.role == "user"
    }
    assert len(seen) > 10_000
    assert not exam & seen


@pytest.mark.parametrize("kind", KINDS)
def test_the_exam_is_apart_from_every_kind_of_dialogue(kind: str) -> None:
    exam = {_plain(question.prompt) for question in chat_exam()}
    only = islice(dialogues(99, weights={kind: 1.0}), 5_000)
    assert not exam & {_plain(turn.content) for dialogue in only for turn in dialogue.turns}


def test_no_retrieval_sentence_is_in_the_training_pairs() -> None:
    asked = {_plain(text) for pair in retrieval_pairs(2026, 200, "test") for text in pair}
    assert len(asked) == 400
    seen = {_plain(text) for row in islice(pairs(SEED + 1), 25_000) for text in row[:2]}
    assert not asked & seen


def _plain(text: str) -> str:
    return text.lower().strip(" .?!")

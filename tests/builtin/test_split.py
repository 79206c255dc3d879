"""No evaluation prompt is in the training text: the proof is by template, by value and by looking."""

from __future__ import annotations

import re
from itertools import islice
from random import Random

import pytest

from hyperllama_builtin.training.echoes import AFTER, WRAP
from hyperllama_builtin.training.exam import TABLE, chat_exam
from hyperllama_builtin.training.extraction import REQUESTS
from hyperllama_builtin.training.gadget import Gadget
from hyperllama_builtin.training.gateway import FRAMES, OPENINGS
from hyperllama_builtin.training.made_up_tools import ASKED
from hyperllama_builtin.training.mixture import KINDS, dialogues
from hyperllama_builtin.training.paraphrases import pairs, retrieval_pairs
from hyperllama_builtin.training.questions import QUESTIONS
from hyperllama_builtin.training.records import RECORDS, Record
from hyperllama_builtin.training.split import Side, phrase, side_of, spellings, templates
from hyperllama_builtin.training.sums import ADD, SUBTRACT
from hyperllama_builtin.training.toolbox import TOOLBOX
from hyperllama_builtin.training.unknown import PROMPTS

SIDES: tuple[Side, ...] = ("train", "dev", "test")
TABLES = {
    "frames": FRAMES,
    "after": AFTER,
    "asked": ASKED,
    "requests": REQUESTS,
    "add": ADD,
    "subtract": SUBTRACT,
    "unknown": PROMPTS,
    "wrap": WRAP,
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


@pytest.mark.parametrize("name", TABLES)
def test_training_never_composes_a_held_out_phrasing(name: str) -> None:
    held_out = {
        _plain(text)
        for side in ("dev", "test")
        for pattern in templates(TABLES[name], side)
        for text in spellings(pattern)
    }
    rng = Random(5)
    said = {_plain(phrase(rng, TABLES[name], "train")) for _ in range(500)}
    assert said
    assert not said & held_out


def test_a_spelling_of_train_that_is_held_out_is_passed_over() -> None:
    table = ("[one|seven] {a}", "two", "three", "four", "five", "six", "ten", "Seven {a}.")
    rng = Random(5)
    assert "one {a}" in {phrase(rng, table, "train") for _ in range(200)}
    assert "seven {a}" not in {phrase(rng, table, "train") for _ in range(200)}


@pytest.mark.parametrize("record", RECORDS, ids=lambda record: "-".join(record.fields))
def test_a_record_is_told_in_many_ways_that_each_hold_every_field(record: Record) -> None:
    wanted = sorted(record.fields)
    assert len(record.sentences) % 8 == 0
    for pattern in record.sentences:
        assert all(sorted(_slots(text)) == wanted for text in spellings(pattern)), pattern
    assert _ways(record.sentences) >= 100


@pytest.mark.parametrize("gadget", TOOLBOX, ids=lambda gadget: gadget.names[0])
def test_a_tool_is_asked_for_in_many_ways_that_each_hold_every_argument(gadget: Gadget) -> None:
    wanted = set(gadget.parameters)
    assert len(gadget.prompts) % 8 == 0
    for pattern in gadget.prompts:
        assert all(set(_slots(text)) == wanted for text in spellings(pattern)), pattern
    assert _ways(gadget.prompts) >= 50


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


def _slots(text: str) -> list[str]:
    return re.findall(r"{(\w+)}", text)


def _ways(table: tuple[str, ...]) -> int:
    """In how many ways training hears what the table says."""
    return len({text for pattern in templates(table, "train") for text in spellings(pattern)})

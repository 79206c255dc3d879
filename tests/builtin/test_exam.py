"""How the exam judges an answer."""

from __future__ import annotations

import json

from hyperllama_builtin.training.dialogue import Call
from hyperllama_builtin.training.exam import Question, chat_exam
from hyperllama_builtin.training.facts import FACTS


def _first(kind: str) -> Question:
    return next(question for question in chat_exam() if question.kind == kind)


def test_a_gateway_answer_must_hold_the_fact_and_not_a_longer_word() -> None:
    question = _first("gateway")
    fact = next(fact for fact in FACTS if fact.value == question.wanted)
    assert question.right(fact.answer, ())
    assert not question.right(f"x{fact.value}x", ())


def test_every_fact_holds_its_own_value() -> None:
    for fact in FACTS:
        assert fact.value in fact.answer


def test_no_answer_holds_the_value_of_another_question_by_chance() -> None:
    asked = {question.wanted: question for question in chat_exam() if question.kind == "gateway"}
    for fact in FACTS:
        question = asked.get(fact.value)
        if question is None:
            continue
        right = {other.key for other in FACTS if question.right(other.answer, ())}
        assert right <= {fact.key, *_SAME.get(fact.key, ())}


def test_a_sum_is_judged_by_its_last_number() -> None:
    question = _first("sums")
    assert question.right(f"1 + 2 = {question.wanted}.", ())
    assert not question.right(f"{question.wanted} is not 1234", ())


def test_an_extraction_must_be_json_and_equal() -> None:
    question = _first("extraction")
    assert question.right(question.wanted, ())
    assert not question.right(question.wanted[:-1], ())
    assert not question.right(json.dumps({"other": 1}), ())


def test_a_tool_prompt_wants_exactly_one_call() -> None:
    question = _first("tools")
    wanted = json.loads(question.wanted)
    call = Call(wanted["name"], wanted["parameters"])
    assert question.right("", (call,))
    assert not question.right("", (call, call))
    assert not question.right(question.wanted, ())


#: Facts whose answers hold each other's values, both being right.
_SAME: dict[str, tuple[str, ...]] = {
    "third-dialect": ("dialects",),
}

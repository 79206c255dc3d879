"""Requests that were there when engines died."""

from __future__ import annotations

import pytest

from hyperllama.errors import InvalidRequest
from hyperllama.generation import GenerationRequest, JsonSchema
from hyperllama.messages import Prompt
from hyperllama.pipeline.suspects import PoisonList


def test_a_request_at_two_deaths_is_refused_and_others_are_not() -> None:
    poison, request = PoisonList(), GenerationRequest(model="m", input=Prompt("x"))
    poison.record(request)
    poison.check(request)
    poison.record(request)
    with pytest.raises(InvalidRequest):
        poison.check(request)
    poison.check(GenerationRequest(model="m", input=Prompt("y")))


def test_a_number_beyond_what_engines_can_be_sent_is_no_failure_of_the_list() -> None:
    poison, request = PoisonList(), GenerationRequest(model="m", input=Prompt("x"))
    poison.record(request)
    poison.check(GenerationRequest(model="m", input=Prompt("x"), output=JsonSchema({"minimum": 10**300})))

"""Requests that ran alone when engines died."""

from __future__ import annotations

from typing import Any

import pytest

from hyperllama.errors import InvalidRequest
from hyperllama.generation import GenerationRequest, JsonSchema
from hyperllama.messages import Prompt
from hyperllama.pipeline.suspects import DEATHS, EXPIRY, KEPT, CrashSuspects


class Model:
    def __init__(self) -> None:
        self.failure: str | None = None


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def suspects(clock: Clock) -> CrashSuspects:
    return CrashSuspects(clock)


def request(text: str = "x") -> GenerationRequest:
    return GenerationRequest(model="m", input=Prompt(text))


def death(suspects: CrashSuspects, *running: tuple[object, str]) -> None:
    """One engine dies with the given requests and tenants on it."""
    model: Any = Model()
    for _ in running:
        suspects.enter(model)
    model.failure = "killed"
    for each, tenant in running:
        suspects.leave(model, each, tenant, failed=True)


def banned(suspects: CrashSuspects, each: GenerationRequest, tenant: str) -> bool:
    try:
        suspects.check(each, tenant)
    except InvalidRequest:
        return True
    return False


def test_a_request_alone_at_two_deaths_is_refused_and_others_are_not(suspects: CrashSuspects) -> None:
    death(suspects, (request(), "a"))
    assert not banned(suspects, request(), "a")
    death(suspects, (request(), "a"))
    assert banned(suspects, request(), "a")
    assert not banned(suspects, request("y"), "a")


def test_the_same_request_of_another_tenant_is_never_refused(suspects: CrashSuspects) -> None:
    for _ in range(10):
        death(suspects, (request(), "a"))
    assert banned(suspects, request(), "a")
    assert not banned(suspects, request(), "b")


@pytest.mark.parametrize("company", [(request(), "b"), (request(), "a"), (request("other"), "a"), (object(), "b")])
def test_a_death_in_company_is_held_against_no_request(suspects: CrashSuspects, company: tuple[object, str]) -> None:
    """Equal prompts of two keys, of one key, different prompts, an embedding or a token count."""
    for _ in range(5):
        death(suspects, (request(), "a"), company)
        death(suspects, company, (request(), "a"))
    assert not banned(suspects, request(), "a")
    assert not banned(suspects, request(), "b")


def test_a_hundred_streams_at_one_death_ban_none_of_them(suspects: CrashSuspects) -> None:
    for _ in range(3):
        death(suspects, *[(request(str(number % 4)), f"key-{number % 7}") for number in range(100)])
    found = [banned(suspects, request(str(text)), f"key-{key}") for text in range(4) for key in range(7)]
    assert not any(found)


def test_a_request_that_ends_otherwise_while_the_engine_dies_is_no_suspect(suspects: CrashSuspects) -> None:
    for _ in range(DEATHS):
        model: Any = Model()
        suspects.enter(model)
        model.failure = "killed"
        suspects.leave(model, request(), "a", failed=False)
    assert not banned(suspects, request(), "a")


def test_the_first_to_end_decides_who_was_there(suspects: CrashSuspects) -> None:
    """The client of one of two streams leaves after the death: the other was in company all the same."""
    for _ in range(DEATHS):
        model: Any = Model()
        suspects.enter(model)
        suspects.enter(model)
        model.failure = "killed"
        suspects.leave(model, request("y"), "b", failed=False)
        suspects.leave(model, request(), "a", failed=True)
    assert not banned(suspects, request(), "a")


def test_a_suspicion_expires(suspects: CrashSuspects, clock: Clock) -> None:
    death(suspects, (request(), "a"))
    clock.now += EXPIRY
    death(suspects, (request(), "a"))
    assert not banned(suspects, request(), "a")
    clock.now += EXPIRY - 1
    death(suspects, (request(), "a"))
    assert banned(suspects, request(), "a")
    clock.now += EXPIRY
    assert not banned(suspects, request(), "a")


def test_nothing_is_kept_of_what_has_ended(suspects: CrashSuspects) -> None:
    for number in range(2 * KEPT):
        death(suspects, (request(str(number)), "a"), (request(), "b"))
        death(suspects, (request(str(number)), "a"))
    assert (len(suspects._using), len(suspects._judged), len(suspects._deaths)) == (0, 0, KEPT)


def test_a_number_beyond_what_engines_can_be_sent_is_no_failure_of_the_list(suspects: CrashSuspects) -> None:
    beyond = GenerationRequest(model="m", input=Prompt("x"), output=JsonSchema({"minimum": 10**300}))
    for _ in range(DEATHS):
        death(suspects, (request(), "a"))
        death(suspects, (beyond, "a"))
    assert not banned(suspects, beyond, "a")

from __future__ import annotations

import pytest

from hyperllama.config import Allowance, Limits
from hyperllama.database.database import Database
from hyperllama.database.usage import Ledger
from hyperllama.errors import RateLimited, Unavailable
from hyperllama.generation import Usage
from hyperllama.identity import Principal
from hyperllama.limits.quotas import Quotas

NOON = 1_795_521_600.0  # 2026-11-24 12:00 UTC
DAY = 86_400


class Wall:
    now = NOON

    def __call__(self) -> float:
        return self.now


@pytest.fixture
async def ledger(tmp_path):
    database = Database(tmp_path)
    yield Ledger(database, wall=Wall())
    await database.close()


async def test_a_days_tokens_and_requests_are_all_there_are_until_midnight(make_call, end, ledger) -> None:
    wall = ledger._wall
    quotas = Quotas(Limits(key=Allowance(daily_tokens=100, daily_requests=3)), ledger, wall=wall)
    for used in (Usage(1, 9), Usage(5, 15), Usage(10, 20)):
        call = make_call(max_tokens=10)
        await quotas.enter(call)
        await end(call, usage=used)
        ledger.finished(call)
    with pytest.raises(RateLimited, match="3 requests a day") as refused:
        await quotas.enter(make_call())
    assert refused.value.retry_after == pytest.approx(12 * 3600)
    await quotas.enter(make_call("another"))
    wall.now += 13 * 3600
    await quotas.enter(make_call())


async def test_what_is_under_way_counts_as_if_it_took_all_it_may(make_call, end, ledger) -> None:
    quotas = Quotas(Limits(key=Allowance(monthly_tokens=100)), ledger, wall=ledger._wall)
    call = make_call(prompt="x" * 40, max_tokens=60)
    await quotas.enter(call)
    with pytest.raises(RateLimited, match="100 tokens a month") as refused:
        await quotas.enter(make_call(prompt="x" * 40, max_tokens=60))
    assert refused.value.retry_after == pytest.approx(6.5 * DAY)  # the first of December
    await end(call, "cancelled")
    ledger.finished(call)
    await quotas.enter(make_call(prompt="x" * 40, max_tokens=60))


async def test_a_quota_of_one_key_comes_from_its_own_table_and_others_have_none(make_call, end, ledger) -> None:
    quotas = Quotas(Limits(), ledger, wall=ledger._wall)
    small = Principal(id="small", limits={"daily_requests": 1})
    call = make_call(small)
    await quotas.enter(call)
    await end(call, usage=Usage(1, 1))
    ledger.finished(call)
    with pytest.raises(RateLimited):
        await quotas.enter(make_call(small))
    for _ in range(5):
        await quotas.enter(make_call("free"))


async def test_usage_of_before_a_restart_counts(make_call, end, tmp_path) -> None:
    for expected in (True, False):
        database = Database(tmp_path)
        async with Ledger(database, wall=Wall()) as ledger:
            quotas = Quotas(Limits(key=Allowance(monthly_requests=1)), ledger, wall=Wall())
            call = make_call()
            if expected:
                await quotas.enter(call)
                await end(call, usage=Usage(1, 1))
                ledger.finished(call)
            else:
                with pytest.raises(RateLimited):
                    await quotas.enter(call)
        await database.close()


async def test_without_its_database_a_quota_lets_nobody_in(make_call, ledger, monkeypatch) -> None:
    async def away(*_: object, **__: object) -> None:
        raise OSError

    monkeypatch.setattr(ledger, "write", away)
    quotas = Quotas(Limits(key=Allowance(daily_requests=1)), ledger, wall=ledger._wall)
    with pytest.raises(Unavailable):
        await quotas.enter(make_call())


async def test_a_request_that_no_day_has_room_for_is_told_so_and_not_to_come_back(make_call, ledger) -> None:
    quotas = Quotas(Limits(key=Allowance(daily_tokens=100)), ledger, wall=ledger._wall)
    with pytest.raises(RateLimited, match=r"too large for this key: it may take 201 tokens.*100 a day") as refused:
        await quotas.enter(make_call(max_tokens=200))
    assert refused.value.retry_after is None


async def test_a_guess_at_an_answers_length_makes_no_request_impossible(make_call, ledger) -> None:
    quotas = Quotas(Limits(key=Allowance(daily_tokens=100), assumed_output_tokens=256), ledger, wall=ledger._wall)
    call = make_call(max_tokens=None)
    await quotas.enter(call)
    assert len(call.on_finish) == 1

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from hyperllama.database.usage import Ledger, Totals
from hyperllama.generation import GenerationRequest, Usage
from hyperllama.identity import Caller, Principal
from hyperllama.messages import Prompt
from hyperllama.models import ModelInfo
from hyperllama.spi import Call

NOON = 1_795_521_600.0  # 2026-11-24 12:00 UTC
DAY = 86_400


class Wall:
    now = NOON

    def __call__(self) -> float:
        return self.now


def call(
    key: str = "k", outcome: Any = "finished", usage: Usage | None = None, *, model: str = "m", **more: Any
) -> Call:
    info = ModelInfo(name=model, engine="sim", capabilities=frozenset(), context_length=100)
    caller = Caller(protocol="t", principal=Principal(id=key, name=f"name of {key}"), request_id="r")
    request = GenerationRequest(model=model, input=Prompt("x"))
    return Call(caller=caller, request=request, info=info, outcome=outcome, usage=usage, **more)


async def test_what_was_counted_is_written_when_the_ledger_is_left(database) -> None:
    async with Ledger(database, wall=Wall()) as ledger:
        ledger.finished(call(usage=Usage(10, 5, cached_tokens=4)))
        ledger.finished(call(usage=Usage(1, 2)))
        ledger.finished(call(outcome="cancelled", tokens=3, submitted=1, estimate=7))
        ledger.finished(call(outcome="failed", tokens=0, submitted=1, estimate=7))
        ledger.finished(call(outcome="refused", estimate=7))
        ledger.finished(call("other", usage=Usage(1, 1), model="n"))
    lines = await ledger.report()
    assert [(line.key, line.model, line.day, line.name) for line in lines] == [
        ("k", "m", "2026-11-24", "name of k"),
        ("other", "n", "2026-11-24", "name of other"),
    ]
    line = lines[0]
    assert (line.requests, line.failed, line.cancelled, line.refused) == (4, 1, 1, 1)
    assert (line.prompt_tokens, line.cached_tokens, line.completion_tokens) == (18, 4, 10)


async def test_two_gateways_add_up_and_see_each_other(database) -> None:
    one, two = Ledger(database, wall=Wall()), Ledger(database, wall=Wall())
    await asyncio.gather(one.watch(), two.watch())
    for _ in range(3):
        one.finished(call(usage=Usage(10, 5)))
        two.finished(call(usage=Usage(1, 1)))
    assert one.totals("k") == Totals(3, 45, 3, 45)
    await asyncio.gather(one.write(totals=True), two.write(totals=True))
    one.finished(call(usage=Usage(1, 0)))
    await one.write(totals=True)
    assert one.totals("k") == Totals(7, 52, 7, 52)
    assert (await one.report())[0].requests == 7


async def test_totals_follow_the_calendar(database) -> None:
    wall = Wall()
    ledger = Ledger(database, wall=wall)
    await ledger.watch()
    ledger.finished(call(usage=Usage(10, 0)))
    wall.now += DAY
    ledger.finished(call(usage=Usage(1, 0)))
    assert ledger.totals("k") == Totals(1, 1, 2, 11)
    await ledger.write(totals=True)
    assert ledger.totals("k") == Totals(1, 1, 2, 11)
    wall.now += 10 * DAY  # December
    assert ledger.totals("k") == Totals()
    assert await ledger.report(since="2026-11-25", by=("model",)) != []
    (line,) = await ledger.report(by=("key",))
    assert (line.day, line.requests, line.prompt_tokens) == ("", 2, 11)


async def test_a_database_that_is_away_loses_nothing(database, monkeypatch) -> None:
    ledger = Ledger(database, wall=Wall())
    await ledger.watch()
    ledger.finished(call(usage=Usage(10, 0)))
    real = database.begin

    def broken(*_: object, **__: Any) -> None:
        ledger.finished(call(usage=Usage(1, 0)))
        raise OSError

    monkeypatch.setattr(database, "begin", broken)
    with pytest.raises(OSError):
        await ledger.write()
    assert not await ledger._behind.attempt()
    monkeypatch.setattr(database, "begin", real)
    await ledger.write()
    (line,) = await ledger.report()
    assert (line.requests, line.prompt_tokens) == (3, 12)
    assert ledger.totals("k").month_tokens == 12


async def test_the_ledger_writes_by_itself_soon(database, monkeypatch) -> None:
    from hyperllama.database import usage

    monkeypatch.setattr(usage, "WRITE_EVERY", 0.01)
    async with Ledger(database, wall=Wall()) as ledger:
        ledger.finished(call(usage=Usage(1, 0)))
        async with asyncio.timeout(10):
            while not await ledger.report():  # noqa: ASYNC110 - the database has no event to wait for
                await asyncio.sleep(0.01)

"""What one key keeps never costs another one its own."""

from __future__ import annotations

import math
import random

import pytest

from hyperllama.config import Admin, Store
from hyperllama.database import records as module
from hyperllama.database.audit import Act, AuditLog
from hyperllama.database.records import DatabaseRecords
from hyperllama.database.shares import fair_share
from hyperllama.spi import Record


def test_a_share_is_the_largest_that_fits_and_takes_nothing_from_the_small() -> None:
    draw = random.Random(1)
    for _ in range(500):
        held = [draw.randrange(200) for _ in range(draw.randrange(8))]
        most = draw.randrange(600)
        share = fair_share(held, most)
        assert sum(min(size, share) for size in held) <= most or not held
        if any(size > share for size in held):
            assert sum(min(size, share + 1) for size in held) > most
        assert all(size <= share for size in held if size * len(held) <= most)


def record(owner: str, number: int, size: int) -> Record:
    return Record(
        kind="test.thing", id=f"{owner}-{number}", owner=owner, created=number, expires=math.inf, body=b"x" * size
    )


@pytest.mark.parametrize("bound", ["bytes", "count", "all"])
async def test_a_keys_own_oldest_records_go_and_nobody_elses(database, bound: str) -> None:
    settings = {
        "bytes": Store(max_key_record_bytes=10_000),
        "count": Store(max_key_records=10),
        "all": Store(max_record_bytes=10_000),
    }[bound]
    records = DatabaseRecords(database, settings)
    for number in range(3):
        records.put(record("victim", number, 1000))
    await records.write()
    for number in range(10, 60):
        records.put(record("hog", number, 1000))
        if number % 7 == 0:
            await records.write()
    await records.write()
    await records.sweep()
    assert len(await records.page("test.thing", "victim", limit=100)) == 3
    left = [found.created for found in await records.page("test.thing", "hog", limit=100)]
    assert 1 <= len(left) <= 10
    assert left == sorted(left, reverse=True)
    assert left[0] == 59


async def test_what_waits_to_be_written_has_a_share_for_whoever_comes(database, monkeypatch) -> None:
    monkeypatch.setattr(module, "PENDING", 100_000)
    records = DatabaseRecords(database, Store())
    for number in range(200):
        records.put(record("hog", number, 1000))
    records.put(record("victim", 1, 20_000))
    assert await records.get("test.thing", "victim-1", "victim") is not None
    assert await records.get("test.thing", "hog-0", "hog") is not None
    assert await records.get("test.thing", "hog-199", "hog") is None
    assert sum(map(module._size, records._pending.values())) <= 100_000
    await records.write()
    assert not records._waiting


async def test_one_actor_cannot_push_anothers_acts_out_of_the_log(database) -> None:
    log = AuditLog(database, Admin(audit_max=10))
    log.mute()
    for number in range(3):
        await log.record(Act(act="keys.create", actor="admin", subject=str(number)))
    for number in range(30):
        await log.record(Act(act="models.pull", actor="flood", subject=str(number), outcome="store_failed"))
    await log.sweep()
    acts = await log.page()
    assert [act.subject for act in acts if act.actor == "admin"] == ["2", "1", "0"]
    assert [act.subject for act in acts if act.actor == "flood"] == [str(number) for number in range(29, 22, -1)]

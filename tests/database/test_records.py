from __future__ import annotations

import math
import time
from pathlib import Path

import pytest

from hyperllama.config import Store
from hyperllama.database.database import Database
from hyperllama.database.records import DatabaseRecords
from hyperllama.errors import NotFound, Unavailable
from hyperllama.spi import Record
from hyperllama.testing.fakes import MemoryRecords

NOW = time.time()
BOUNDS = Store(max_record_bytes=1000, max_key_record_bytes=3000)


def record(id: str, *, owner: str = "me", at: float = 0.0, expires: float = math.inf, body: bytes = b"x") -> Record:
    return Record(kind="test.thing", id=id, owner=owner, created=NOW + at, expires=expires, body=body)


@pytest.fixture(params=["database", "memory"])
def records(request, database):
    if request.param == "memory":
        return MemoryRecords()
    return DatabaseRecords(database, BOUNDS)


async def test_what_was_put_is_there_for_its_owner_alone(records) -> None:
    records.put(record("a"))
    assert await records.get("test.thing", "a", "me") == record("a")
    assert await records.get("test.thing", "a", "you") is None
    assert await records.get("other.thing", "a", "me") is None
    assert await records.page("test.thing", "you") == []


async def test_a_page_goes_on_after_the_last_one_seen(records) -> None:
    for number in range(5):
        records.put(record(f"r{number}", at=number // 2))  # two of one moment
    assert [r.id for r in await records.page("test.thing", "me", limit=2)] == ["r4", "r3"]
    assert [r.id for r in await records.page("test.thing", "me", after="r3", limit=9)] == ["r2", "r1", "r0"]
    assert [r.id for r in await records.page("test.thing", "me", after="r0", newest_first=False)][:2] == ["r1", "r2"]
    with pytest.raises(NotFound):
        await records.page("test.thing", "me", after="gone")


async def test_expired_and_deleted_ones_are_gone(records) -> None:
    records.put(record("old", expires=NOW - 1))
    records.put(record("a"))
    records.put(record("b"))
    records.delete("test.thing", "a", "me")
    records.delete("test.thing", "b", "you")
    assert await records.get("test.thing", "old", "me") is None
    assert await records.get("test.thing", "a", "me") is None
    assert [r.id for r in await records.page("test.thing", "me")] == ["b"]


async def test_another_gateway_reads_what_was_written_and_cannot_take_it_over(database) -> None:
    mine, other = (DatabaseRecords(database, BOUNDS) for _ in range(2))
    async with mine:
        mine.put(record("a", expires=NOW + 86_400))
        mine.put(record("b"))
    assert await other.get("test.thing", "a", "me") == record("a", expires=NOW + 86_400)
    async with other:
        other.put(record("a", owner="you", body=b"stolen"))
        other.put(record("b", body=b"new"))
    assert (await mine.get("test.thing", "a", "me")).body == b"x"
    assert (await mine.get("test.thing", "b", "me")).body == b"new"


async def test_the_sweep_drops_the_expired_and_then_the_oldest_of_too_much(database) -> None:
    records = DatabaseRecords(database, BOUNDS)
    records.put(record("old", expires=NOW - 1, body=b"x" * 2000))
    for number in range(4):
        records.put(record(f"r{number}", at=number, body=b"x" * 400))
    await records.write()
    await records.sweep()
    assert [r.id for r in await records.page("test.thing", "me")] == ["r3", "r2"]


async def test_what_a_broken_database_did_not_take_waits_and_reads_say_so(tmp_path: Path) -> None:
    (tmp_path / "gateway.db").write_bytes(b"no database at all, but long enough to be looked at as one" * 40)
    broken = Database(tmp_path)
    records = DatabaseRecords(broken, BOUNDS)
    records.put(record("a"))
    with pytest.raises(Exception, match="database"):
        await records.write()
    assert await records.get("test.thing", "a", "me") == record("a")
    with pytest.raises(Unavailable):
        await records.get("test.thing", "b", "me")
    (tmp_path / "gateway.db").unlink()
    await records.write()
    assert await DatabaseRecords(broken, BOUNDS).get("test.thing", "a", "me") == record("a")
    await broken.close()

"""A disk that is full: what was begun leaves nothing behind, and everything goes on when there is space again."""

from __future__ import annotations

import errno
import math
import os
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from hyperllama.config import Admin, Batches, Store
from hyperllama.database.api_key import Key
from hyperllama.database.audit import Act, AuditLog
from hyperllama.database.database import Database
from hyperllama.database.files import FileStore
from hyperllama.database.key_store import KeyStore
from hyperllama.database.records import DatabaseRecords
from hyperllama.database.usage import Ledger
from hyperllama.errors import PayloadTooLarge, StorageFull
from hyperllama.generation import GenerationRequest, Usage
from hyperllama.identity import Caller, Principal
from hyperllama.messages import Prompt
from hyperllama.models import ModelInfo
from hyperllama.spi import Call, Record
from hyperllama.system import files

CALLER = Caller(protocol="test", principal=Principal(id="me", name="mine"), request_id="r")


class FullDisk:
    """The ``at``-th system call of the room of files that needs the disk fails for want of space, and all after it."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.at = 10**9
        self.seen = 0
        for name in ("open", "write", "fsync", "rename"):
            patch.setattr(os, name, self._wrapped(getattr(os, name)))

    def _wrapped(self, call: Any) -> Any:
        def wrapped(*args: Any, **kwargs: Any) -> Any:
            if sys._getframe(1).f_globals["__name__"] in (files.__name__, "pathlib"):
                self.seen += 1
                if self.seen >= self.at:
                    raise OSError(errno.ENOSPC, "No space left on device")
            return call(*args, **kwargs)

        return wrapped


async def upload(store: FileStore, pieces: int = 3) -> None:
    async with store.receiving(CALLER) as sink:
        for _ in range(pieces):
            await sink.write(b"x" * 1000)
        await sink.keep(filename="f", purpose="batch", seconds=None)


async def test_a6_an_upload_that_finds_the_disk_full_at_any_step_leaves_nothing(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = FileStore(database, tmp_path, Batches())
    await upload(store)
    whole = set((tmp_path / "files").iterdir())
    disk = FullDisk(monkeypatch)
    await upload(store)
    steps, whole = disk.seen, set((tmp_path / "files").iterdir())
    assert steps >= 6
    for at in range(1, steps + 1):
        disk.at, disk.seen = at, 0
        with pytest.raises(StorageFull):
            await upload(store)
        disk.at = 10**9
        assert set((tmp_path / "files").iterdir()) == whole, at
        assert not store._incoming
    await upload(store)
    kept = await store.page(CALLER.principal, purpose=None, after=None, limit=9, newest_first=True)
    assert [file.bytes for file in kept] == [3000] * 3


async def test_a6_bytes_under_way_count_and_are_given_back(database: Database, tmp_path: Path) -> None:
    store = FileStore(database, tmp_path, Batches(max_key_bytes=5000))
    async with store.receiving(CALLER) as first:
        await first.write(b"x" * 3000)
        async with store.receiving(CALLER) as second:
            with pytest.raises(PayloadTooLarge):
                await second.write(b"x" * 3000)
    await upload(store)
    assert not [path for path in (tmp_path / "files").iterdir() if path.name.startswith(files.PREFIX)]


async def test_a6_a_database_whose_disk_is_full_keeps_what_waits_and_writes_it_later(
    database: Database, tmp_path: Path
) -> None:
    keys, audit = KeyStore(database, b"p" * 32), AuditLog(database, Admin())
    ledger, records = Ledger(database), DatabaseRecords(database, Store())
    await keys.create(Key(name="before"), actor="test")
    pages = await _limit(database, 0)
    info = ModelInfo(name="m", engine="sim", capabilities=frozenset(), context_length=100)
    request = GenerationRequest(model="m", input=Prompt("x"))
    for _ in range(3):
        call = Call(caller=CALLER, request=request, info=info, outcome="finished", usage=Usage(1, 1))
        ledger.finished(call)
    body = b"x" * 200_000
    records.put(Record(kind="k", id="a", owner="me", created=time.time(), expires=math.inf, body=body))
    for write in (records.write, lambda: _fill(database)):
        with pytest.raises(StorageFull):
            await write()
    await audit.record(Act(act="a.b", actor="x", subject="y" * 200))  # fails no act
    await _limit(database, pages)
    await ledger.write()
    await records.write()
    await keys.create(Key(name="after"), actor="test")
    assert [row.requests for row in await ledger.report()] == [3]
    found = await records.get("k", "a", "me")
    assert found is not None
    assert found.body == body


async def _limit(database: Database, pages: int) -> int:
    """Bound every connection's view of the file; 0: at what it has now."""
    async with database.begin() as connection:
        found = (await connection.exec_driver_sql(f"PRAGMA max_page_count = {pages or 1}")).scalar_one()
        return int(found) if pages else 2**30


async def _fill(database: Database) -> None:
    async with database.begin() as connection:
        await connection.exec_driver_sql(
            "INSERT INTO records (kind, id, owner, created, body) VALUES ('k', 'z', 'me', 1.0, zeroblob(500000))"
        )

"""A database that hangs is waited for a few seconds, and is well again by itself when it is back."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from sqlalchemy.engine import make_url

from hyperllama.config import Store
from hyperllama.database import database as module
from hyperllama.database.database import Database
from hyperllama.database.records import DatabaseRecords
from hyperllama.database.sql import engine
from hyperllama.database.usage import Ledger
from hyperllama.errors import Unavailable
from hyperllama.spi import Record


class Wire:
    """A server's port behind another one, that can fall silent without closing anything."""

    def __init__(self, port: int) -> None:
        self._to = port
        self.open = asyncio.Event()
        self.open.set()
        self.tasks: list[asyncio.Task[None]] = []

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self.tasks.append(task)
        await self.open.wait()
        there, back = await asyncio.open_connection("127.0.0.1", self._to)
        try:
            await asyncio.gather(self._pass(reader, back), self._pass(there, writer))
        except (OSError, asyncio.CancelledError):
            pass
        finally:
            back.close()
            writer.close()

    async def _pass(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        while piece := await source.read(65536):
            await self.open.wait()
            sink.write(piece)
        sink.close()


@pytest.fixture
async def wire(empty_postgres: str) -> AsyncIterator[tuple[Wire, str]]:
    url = make_url(empty_postgres)
    assert url.port is not None
    wire = Wire(url.port)
    server = await asyncio.start_server(wire.serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    yield wire, url.set(port=port).render_as_string(hide_password=False)
    wire.open.set()
    server.close()
    for task in wire.tasks:
        task.cancel()
    await asyncio.gather(*wire.tasks, return_exceptions=True)


async def ask(database: Database, *, write: bool) -> int:
    async with database.begin(within=1.0) if write else database.read(within=1.0) as connection:
        return int((await connection.exec_driver_sql("SELECT 1")).scalar_one())


async def test_a_server_that_falls_silent_fails_every_request_and_serves_the_next_when_it_is_back(
    wire: tuple[Wire, str], tmp_path: Path
) -> None:
    line, url = wire
    database = Database(tmp_path, url)
    try:
        assert await asyncio.gather(*(ask(database, write=n % 2 == 0) for n in range(10))) == [1] * 10
        for _ in range(2):
            line.open.clear()
            async with asyncio.timeout(30):  # each of them a few seconds, together no more
                found = await asyncio.gather(
                    *(ask(database, write=n % 2 == 0) for n in range(40)), return_exceptions=True
                )
            assert {type(each) for each in found} == {Unavailable}
            assert all(isinstance(each, Unavailable) and each.retry_after for each in found)
            line.open.set()
            async with asyncio.timeout(30):
                assert await asyncio.gather(*(ask(database, write=n % 2 == 0) for n in range(20))) == [1] * 20
    finally:
        await database.close()


async def test_a_server_that_is_silent_from_the_start_is_unavailable(
    wire: tuple[Wire, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "WITHIN", 0.3)
    line, url = wire
    line.open.clear()
    database = Database(tmp_path, url)
    try:
        for _ in range(2):
            with pytest.raises(Unavailable):
                await ask(database, write=False)
        line.open.set()
        monkeypatch.setattr(module, "WITHIN", 30.0)
        assert await ask(database, write=True) == 1
    finally:
        await database.close()


async def test_a_file_that_another_process_has_locked_can_be_read_and_is_busy_for_writers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine, "BUSY", 0.05)
    database = Database(tmp_path)
    try:
        assert await ask(database, write=True) == 1
        assert database.file is not None
        other = sqlite3.connect(database.file, isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        found = await asyncio.gather(*(ask(database, write=True) for _ in range(8)), return_exceptions=True)
        assert {type(each) for each in found} == {Unavailable}
        assert await ask(database, write=False) == 1
        other.execute("ROLLBACK")
        other.close()
        assert await ask(database, write=True) == 1
    finally:
        await database.close()


@pytest.mark.parametrize("within", [0.2, 0.6])
async def test_a_locked_file_fails_a_queue_of_writers_each_within_its_own_time(tmp_path: Path, within: float) -> None:
    database = Database(tmp_path)
    try:
        assert await ask(database, write=True) == 1
        assert database.file is not None
        other = sqlite3.connect(database.file, isolation_level=None)
        other.execute("BEGIN IMMEDIATE")

        async def write() -> None:
            async with database.begin(within=within):
                pass

        loop = asyncio.get_running_loop()
        began = loop.time()
        found = await asyncio.gather(*(write() for _ in range(12)), return_exceptions=True)
        assert {type(each) for each in found} == {Unavailable}
        assert loop.time() - began < within + 1.5, "less than SQLite's own time-out, however many wait"
        other.close()
        await write()
    finally:
        await database.close()


async def test_those_who_wait_for_a_write_that_fails_do_not_wait_once_more(database: Database) -> None:
    ledger, records = Ledger(database), DatabaseRecords(database, Store())
    tries = 0

    @asynccontextmanager
    async def away(**_: object) -> AsyncGenerator[None, None]:
        nonlocal tries
        tries += 1
        await asyncio.sleep(0.05)
        raise Unavailable("gone", retry_after=1)
        yield

    database.begin = away  # type: ignore[assignment, method-assign]
    ledger._pending[("2026-11-24", "k", "m")] = [1] * 7
    records.put(Record(kind="k", id="a", owner="me", created=1.0, expires=2e9, body=b"x"))
    for write in (ledger.write, records.write):
        tries = 0
        found = await asyncio.gather(*(write() for _ in range(20)), return_exceptions=True)
        assert {type(each) for each in found} == {Unavailable}
        assert tries == 1
        with pytest.raises(Unavailable):
            await write()
        assert tries == 2, "the next one tries anew"
    del database.begin
    await ledger.write()
    await records.write()
    assert [row.requests for row in await ledger.report()] == [1]

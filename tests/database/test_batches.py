from __future__ import annotations

import asyncio
import os
from pathlib import Path

import pytest

from hyperllama.config import Batches
from hyperllama.database.batches import BatchStore
from hyperllama.database.database import Database
from hyperllama.database.files import FileStore
from hyperllama.errors import InvalidRequest, NotFound, PayloadTooLarge, RateLimited
from hyperllama.generation import Usage
from hyperllama.identity import Caller, Principal
from hyperllama.spi import Batch, BatchResult, NewBatch

ME = Principal(id="me", name="mine", limits={"requests": "5/minute"})
CALLER = Caller(protocol="test", principal=ME, request_id="r")


class Shelf:
    def __init__(self, database: Database, folder: Path, **settings: object) -> None:
        self.now = 1_000_000.0
        bounds = Batches(**settings)  # type: ignore[arg-type]
        self.files = FileStore(database, folder, bounds, wall=lambda: self.now)
        self.store = BatchStore(database, self.files, bounds, wall=lambda: self.now)

    async def upload(self, content: bytes = b"{}\n", *, seconds: float | None = None) -> str:
        async with self.files.receiving(CALLER) as sink:
            await sink.write(content)
            return (await sink.keep(filename="in.jsonl", purpose="batch", seconds=seconds)).id

    async def batch(self) -> Batch:
        wanted = NewBatch(protocol="p", endpoint="/e", input_file=await self.upload(), seconds=100, notes={"a": "b"})
        return await self.store.create(wanted, CALLER)


@pytest.fixture
def shelf(database, tmp_path: Path) -> Shelf:
    return Shelf(database, tmp_path)


def result(text: str, *, failed: bool = False, tokens: int = 1) -> BatchResult:
    return BatchResult(failed, text.encode(), Usage(prompt_tokens=tokens))


async def test_a_line_keeps_its_first_result_and_is_counted_once(shelf: Shelf) -> None:
    batch = await shelf.batch()
    await shelf.store.commit(batch.id, [(1, result("one")), (2, result("two", failed=True))])
    await shelf.store.commit(batch.id, [(1, result("again", failed=True, tokens=50)), (3, result("three", tokens=5))])
    found = await shelf.store.get(batch.id, ME)
    assert (found.completed, found.failed, found.usage.prompt_tokens) == (2, 1, 7)
    assert [piece async for piece in shelf.store.results(batch.id, failed=False)] == [b"one\nthree\n"]
    assert [piece async for piece in shelf.store.results(batch.id, failed=True)] == [b"two\n"]
    assert await shelf.store.done(batch.id) == {1, 2, 3}


async def test_batches_asked_for_at_once_are_no_more_than_one_key_may_have(database, tmp_path: Path) -> None:
    shelf = Shelf(database, tmp_path, max_open=3)
    made = await asyncio.gather(*(shelf.batch() for _ in range(12)), return_exceptions=True)
    assert [type(each) for each in made if not isinstance(each, Batch)] == [RateLimited] * 9


async def test_results_are_read_in_order_however_many(shelf: Shelf) -> None:
    batch = await shelf.batch()
    await shelf.store.commit(batch.id, [(number, result(str(number))) for number in range(200, 0, -1)])
    text = b"".join([piece async for piece in shelf.store.results(batch.id, failed=False)])
    assert text.split() == [str(number).encode() for number in range(1, 201)]


async def test_states_are_remembered_and_a_cancelled_one_is_not_run_on(shelf: Shelf) -> None:
    batch = await shelf.batch()
    shelf.now += 1
    batch = await shelf.store.enter(batch, "in_progress", total=9, model="m")
    ((listed, owner),) = await shelf.store.due(4, 10)
    assert listed == batch
    assert owner == ME
    shelf.now += 1
    assert (await shelf.store.cancel(batch.id, ME)).status == "cancelling"
    assert (await shelf.store.enter(batch, "finalizing")).status == "cancelling"
    await shelf.store.end(batch, "cancelled", None, None)
    ended = await shelf.store.get(batch.id, ME)
    assert (ended.status, ended.total, ended.model, ended.notes) == ("cancelled", 9, "m", {"a": "b"})
    assert ended.moments == {"in_progress": 1_000_001.0, "cancelling": 1_000_002.0, "cancelled": 1_000_002.0}
    assert await shelf.store.due(4, 10) == []
    with pytest.raises(InvalidRequest):
        await shelf.store.cancel(batch.id, ME)


async def test_a_key_has_so_many_open_and_its_file_stays_while_one_is(database, tmp_path: Path) -> None:
    shelf = Shelf(database, tmp_path, max_open=2)
    first, _ = await shelf.batch(), await shelf.batch()
    with pytest.raises(RateLimited):
        await shelf.batch()
    with pytest.raises(InvalidRequest):
        await shelf.files.delete(first.input_file, ME)
    await shelf.store.end(first, "cancelled", None, None)
    await shelf.files.delete(first.input_file, ME)
    await shelf.batch()


async def test_uploads_side_by_side_do_not_pass_the_quota_together(database, tmp_path: Path) -> None:
    shelf = Shelf(database, tmp_path, max_key_bytes=10)
    done = await asyncio.gather(*(shelf.upload(b"123456") for _ in range(4)), return_exceptions=True)
    kept = [name for name in done if isinstance(name, str)]
    assert len(kept) <= 1
    assert all(isinstance(error, PayloadTooLarge) for error in done if not isinstance(error, str))
    assert sorted(path.name for path in (tmp_path / "files").glob("file-*")) == kept


async def test_what_is_old_goes_and_what_is_used_stays(shelf: Shelf, tmp_path: Path) -> None:
    short, used = await shelf.upload(seconds=10), await shelf.batch()
    stray = tmp_path / "files" / "file-stray"
    stray.write_bytes(b"x")
    os.utime(stray, (1, 1))
    shelf.now += 40 * 86_400
    await shelf.files.sweep()
    await shelf.store.sweep()
    assert {path.name for path in (tmp_path / "files").glob("file-*")} == {used.input_file}
    with pytest.raises(NotFound):
        await shelf.files.get(short, ME)
    await shelf.store.end(used, "cancelled", None, None)
    await shelf.files.sweep()
    await shelf.store.sweep()
    with pytest.raises(NotFound):
        await shelf.store.get(used.id, ME)


async def test_another_folder_on_the_same_database_has_batches_of_its_own(database, tmp_path: Path) -> None:
    here, there = Shelf(database, tmp_path / "here"), Shelf(database, tmp_path / "there")
    batch = await here.batch()
    assert [found.id for found, _ in await here.store.due(4, 10)] == [batch.id]
    assert await there.store.due(4, 10) == []
    file = await there.files.get(batch.input_file, ME)
    with pytest.raises(NotFound, match="another gateway"):
        await anext(there.files.read(file))
    await there.files.sweep()
    assert [piece async for piece in here.files.read(file)] == [b"{}\n"]

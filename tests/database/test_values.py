"""Every text that a caller chooses is stored by both databases; a row that neither takes stops no other."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest

from hyperllama.config import Admin, Batches, Store
from hyperllama.database.audit import Act, AuditLog
from hyperllama.database.batches import BatchStore
from hyperllama.database.files import FileStore
from hyperllama.database.records import DatabaseRecords
from hyperllama.database.sql import records as record_statements
from hyperllama.database.sql import usage as usage_statements
from hyperllama.database.usage import Ledger
from hyperllama.errors import NotFound
from hyperllama.generation import GenerationRequest, Usage
from hyperllama.identity import Caller, Principal
from hyperllama.messages import Prompt
from hyperllama.models import ModelInfo
from hyperllama.spi import Call, NewBatch, Record

TEXTS = {"nul": "a\0b", "surrogate": "a\ud800b", "long": "m" * 5000, "wide": "\U0001f600" * 700}
CALLER = Caller(protocol="test", principal=Principal(id="me", name="mine"), request_id="r")


def call(model: str, name: str = "mine") -> Call:
    info = ModelInfo(name=model, engine="sim", capabilities=frozenset(), context_length=100)
    caller = Caller(protocol="t", principal=Principal(id="me", name=name), request_id="r")
    request = GenerationRequest(model=model, input=Prompt("x"))
    return Call(caller=caller, request=request, info=info, outcome="finished", usage=Usage(1, 1))


@pytest.mark.parametrize("text", TEXTS.values(), ids=list(TEXTS))
async def test_a_text_of_a_caller_breaks_no_table(database, tmp_path: Path, text: str) -> None:
    ledger = Ledger(database)
    ledger.finished(call(text, name=text))
    ledger.finished(call("m"))
    await ledger.write()
    assert sum(row.requests for row in await ledger.report()) == 2
    assert ledger.lost == 0

    log = AuditLog(database, Admin())
    log.mute()
    await log.record(Act(act="a.b", actor=text, subject=text, outcome=text, request_id=text))
    assert len(await log.page()) == 1
    assert await log.page(actor="nobody" + text) == []

    files = FileStore(database, tmp_path, Batches())
    batches = BatchStore(database, files, Batches())
    async with files.receiving(CALLER) as sink:
        await sink.write(b"{}\n")
        file = await sink.keep(filename=text, purpose="batch", seconds=None)
    for missing in (files.get(text, CALLER.principal), batches.get(text, CALLER.principal)):
        with pytest.raises(NotFound):
            await missing
    batch = await batches.create(NewBatch(protocol="p", endpoint="/e", input_file=file.id, seconds=9), CALLER)
    await batches.enter(batch, "in_progress", model=text)
    assert (await batches.get(batch.id, CALLER.principal)).status == "in_progress"

    records = DatabaseRecords(database, Store())
    assert await records.get("test.thing", text, "me") is None


async def test_usage_that_the_database_never_takes_goes_aside_and_the_rest_is_written(database, monkeypatch) -> None:
    monkeypatch.setattr(
        usage_statements, "storable", lambda text, *_: int(text) if len(text) > 9 and text.isdigit() else text
    )
    ledger = Ledger(database)
    for model in ("a", "b", str(2**70), "c", str(2**71), "d"):  # an integer that neither driver takes
        ledger.finished(call(model))
    await ledger.write()
    assert [row.model for row in await ledger.report(by=("model",))] == ["a", "b", "c", "d"]
    assert ledger.lost == 2
    assert not ledger._pending


async def test_a_record_that_the_database_never_takes_goes_aside_and_the_rest_is_written(database, monkeypatch) -> None:
    real = record_statements._values

    def values(record: Record) -> dict[str, Any]:
        return {**real(record), "body": 2**70} if record.id.startswith("bad") else real(record)

    monkeypatch.setattr(record_statements, "_values", values)
    records = DatabaseRecords(database, Store())
    for name in ("a", "bad1", "b", "bad2", "c"):
        records.put(Record(kind="k", id=name, owner="me", created=time.time(), expires=2e10, body=b"x"))
    await records.write()
    assert sorted(found.id for found in await records.page("k", "me")) == ["a", "b", "c"]
    assert not records._pending

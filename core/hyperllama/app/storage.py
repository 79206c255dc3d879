"""Storage of the gateway: usage, the audit log, records, files and batches."""

from __future__ import annotations

import asyncio

import msgspec

from hyperllama.config import Config
from hyperllama.database.audit import AuditLog
from hyperllama.database.batches import BatchStore
from hyperllama.database.database import Database
from hyperllama.database.files import FileStore
from hyperllama.database.records import DatabaseRecords
from hyperllama.database.usage import Ledger


class Storage(msgspec.Struct, frozen=True):
    """Nothing is opened before it is entered or used. ``new_batches`` is set when there is a batch to look at."""

    database: Database
    audit: AuditLog
    ledger: Ledger
    records: DatabaseRecords
    files: FileStore
    batches: BatchStore
    new_batches: asyncio.Event


def build_storage(config: Config) -> Storage:
    """Return the stores of ``config``. Open nothing."""
    database = Database(config.store_path, config.store.database)
    files = FileStore(database, config.store_path, config.batches)
    new_batches = asyncio.Event()
    return Storage(
        database=database,
        audit=AuditLog(database, config.admin),
        ledger=Ledger(database),
        records=DatabaseRecords(database, config.store),
        files=files,
        batches=BatchStore(database, files, config.batches, changed=new_batches.set),
        new_batches=new_batches,
    )


__all__ = ("Storage", "build_storage")

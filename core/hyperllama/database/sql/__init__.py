"""The statements of the database, a module for each table, imported at first use.

SQLAlchemy takes a quarter of a second to import, which a gateway without keys or files need not pay at its start.
:meth:`Database.open` imports every module here in a thread, so that their first use does not stop the event loop.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from types import ModuleType

    from hyperllama.database.sql import audit, batches, engine, files, records, uploads, usage

MODULES = ("audit", "batches", "engine", "files", "records", "uploads", "usage")


def __getattr__(name: str) -> ModuleType:
    if name not in MODULES:
        raise AttributeError(name)
    return importlib.import_module(f"{__name__}.{name}")


def load() -> None:
    """Import every module of this package. Blocks."""
    for name in MODULES:
        importlib.import_module(f"{__name__}.{name}")


__all__ = ("MODULES", "audit", "batches", "engine", "files", "load", "records", "uploads", "usage")

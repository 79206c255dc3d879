"""Loading models for the sake of their compile cache, one after another."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator, Sequence

from hyperllama.catalog.catalog import Catalog
from hyperllama.catalog.entry import Entry


def warm(catalog: Catalog, names: Sequence[str]) -> Iterator[tuple[str, float]]:
    """Load and unload each named model (none named: all); yield its name and seconds. Blocks. Raises LoadFailed."""
    entries = [catalog.find(name) for name in names] if names else catalog.entries()
    with asyncio.Runner() as runner:
        for entry in entries:
            yield entry.spec.name, runner.run(_once(catalog, entry))


async def _once(catalog: Catalog, entry: Entry) -> float:
    began = time.monotonic()
    lease = await catalog.acquire(entry)
    lease.release()
    took = time.monotonic() - began
    await catalog.unload(entry)
    return took


__all__ = ("warm",)

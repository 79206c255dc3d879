"""The seconds that loads of a model's shape took, as the estimate of the next one."""

from __future__ import annotations

import hashlib
import json
import os
from importlib import metadata
from pathlib import Path
from typing import Any

import msgspec

from hyperllama_max.graphs import GraphStore


class _Times(msgspec.Struct):
    cold: float | None = None
    warm: float | None = None
    graphs: list[str] = msgspec.field(default_factory=list)


class LoadTimes:
    """The last load that compiled, the last that did not, and the graphs of this shape.

    Unlike the catalog's times, which belong to a model's name, these belong to a shape, are written in the host, and
    distinguish a load that compiles from one that does not.
    """

    def __init__(self, cache: Path, ingredients: dict[str, Any]) -> None:
        """Take ``ingredients``: everything that shapes the graphs, beside MAX's release."""
        facts = json.dumps({**ingredients, "max": metadata.version("max")}, sort_keys=True, default=str)
        self._file = cache / "times" / f"{hashlib.sha256(facts.encode()).hexdigest()[:32]}.json"
        try:
            self._times = msgspec.json.decode(self._file.read_bytes(), type=_Times)
        except (OSError, msgspec.MsgspecError):
            self._times = _Times()

    def estimate(self, graphs: GraphStore) -> float | None:
        """Return the seconds that a load takes with the graphs that are at hand, None if none was made yet."""
        known = self._times.graphs and graphs.has(self._times.graphs)
        return self._times.warm if known else self._times.cold

    def remember(self, seconds: float, graphs: GraphStore) -> None:
        """Keep what a load took, which used ``graphs``. A folder that cannot be written costs the next estimate."""
        if graphs.compiled:
            self._times.cold = seconds
        else:
            self._times.warm = seconds
        self._times.graphs = [*graphs.reused, *graphs.compiled]
        try:
            self._file.parent.mkdir(parents=True, exist_ok=True)
            draft = self._file.with_suffix(f".{os.getpid()}")
            draft.write_bytes(msgspec.json.encode(self._times))
            draft.replace(self._file)
        except OSError:
            return


__all__ = ("LoadTimes",)

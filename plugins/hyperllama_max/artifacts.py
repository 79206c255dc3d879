"""Compiled models on disk, found by what they were compiled from and published whole by a rename."""

from __future__ import annotations

import hashlib
import json
import os
import platform
import shutil
from importlib import metadata
from pathlib import Path
from typing import Any

import msgspec

MANIFEST = "manifest.json"


class ArtifactTimes(msgspec.Struct):
    """The seconds that the last load of each kind took; None if there was none.

    Unlike the catalog's times, which belong to a model's name, these belong to a shape, are written in the host, and
    distinguish a load that compiles from one that does not.
    """

    cold: float | None = None
    warm: float | None = None


class Artifacts:
    """The compiled graphs of one model shape."""

    def __init__(self, cache: Path, ingredients: dict[str, Any]) -> None:
        """Take ``ingredients``: everything that shapes the graphs, beside MAX's version and the processor."""
        facts = {**ingredients, "max": metadata.version("max"), "cpu": cpu_features()}
        self.key = hashlib.sha256(json.dumps(facts, sort_keys=True, default=str).encode()).hexdigest()[:32]
        self.folder = cache / "models" / self.key
        self._times = cache / "times" / f"{self.key}.json"
        self._draft = self.folder.with_name(f"{self.key}.{os.getpid()}")

    @property
    def found(self) -> bool:
        return (self.folder / MANIFEST).is_file()

    def draft(self) -> Path:
        """Return an empty folder to write to; :meth:`publish` makes it the one that is found. Raise OSError."""
        shutil.rmtree(self._draft, ignore_errors=True)
        self._draft.mkdir(parents=True)
        return self._draft

    def publish(self) -> None:
        """Make the draft the folder that is found. Of two hosts that compiled the same at once the first wins."""
        try:
            self._draft.rename(self.folder)
        except OSError:
            shutil.rmtree(self._draft, ignore_errors=True)

    def discard(self) -> None:
        shutil.rmtree(self.folder, ignore_errors=True)
        shutil.rmtree(self._draft, ignore_errors=True)

    def times(self) -> ArtifactTimes:
        try:
            return msgspec.json.decode(self._times.read_bytes(), type=ArtifactTimes)
        except (OSError, msgspec.MsgspecError):
            return ArtifactTimes()

    def remember(self, *, cold: bool, seconds: float) -> None:
        times = self.times()
        if cold:
            times.cold = seconds
        else:
            times.warm = seconds
        try:
            self._times.parent.mkdir(parents=True, exist_ok=True)
            draft = self._times.with_suffix(f".{os.getpid()}")
            draft.write_bytes(msgspec.json.encode(times))
            draft.replace(self._times)
        except OSError:
            return  # an estimate less; nothing depends on it


def cpu_features() -> str:
    """Return a digest of the processor's features: compiled models do not run on a lesser processor."""
    try:
        for line in Path("/proc/cpuinfo").read_text("utf-8").splitlines():
            if line.startswith(("flags", "Features")):
                return hashlib.sha256(line.encode()).hexdigest()
    except OSError:
        pass
    return platform.processor() or platform.machine()


__all__ = ("ArtifactTimes", "Artifacts", "cpu_features")

"""Compiled graphs on disk, found by what they compute: all models share them, and some come with the package."""

from __future__ import annotations

import hashlib
import lzma
import os
import platform
import re
import shutil
from collections.abc import Callable
from importlib import metadata
from pathlib import Path
from typing import Any

#: Graphs that come with the package: a folder for each release of MAX, in it one for each level of processors.
SHIPPED = Path(__file__).with_name("compiled")
#: The flags of a processor that has the level x86-64-v3 of the x86-64 psABI, as Linux names them.
LEVELS = {
    "x86-64-v3": frozenset(
        {"abm", "avx", "avx2", "bmi1", "bmi2", "cx16", "f16c", "fma"}
        | {"lahf_lm", "movbe", "pni", "popcnt", "sse4_1", "sse4_2", "ssse3", "xsave"}
    )
}


class GraphStore:
    """The compiled graphs in a cache folder, for one load of a model.

    A graph's file is named by its digest, in a folder of MAX's release and this processor. ``compiled`` and ``reused``
    are the names of the files that this load has made and read.
    """

    def __init__(self, cache: Path, shipped: Path | None = SHIPPED) -> None:
        release = metadata.version("max")
        flags = cpu_flags()
        processor = hashlib.sha256(" ".join(sorted(flags)).encode()).hexdigest()[:16]
        self.folder = cache / "graphs" / f"{release}-{processor}"
        levels = [level for level, needed in LEVELS.items() if needed <= flags]
        self._shipped = [] if shipped is None else [shipped / release / level for level in levels]
        self.compiled: list[str] = []
        self.reused: list[str] = []

    def obtain(self, name: str, digest: str, read: Callable[[Path], Any], compile_graph: Callable[[], Any]) -> Any:
        """Return what ``read`` makes of the graph's file, or else what ``compile_graph`` returns, and keep it.

        What is compiled has a method ``export_mef``. Raises what ``compile_graph`` raises, and OSError where the cache
        cannot be written.
        """
        file = self.folder / f"{re.sub(r'[^A-Za-z0-9._-]', '_', name)}-{digest[:24]}.mef"
        self.folder.mkdir(parents=True, exist_ok=True)
        if file.is_file() or self._unpacked(file):
            try:
                found = read(file)
            except (RuntimeError, ValueError):  # damaged: it can be made again
                file.unlink(missing_ok=True)
            else:
                self.reused.append(file.name)
                return found
        compiled = compile_graph()
        draft = file.with_suffix(f".{os.getpid()}")
        compiled.export_mef(draft)
        draft.replace(file)
        self.compiled.append(file.name)
        return compiled

    def has(self, names: list[str]) -> bool:
        """Return whether every file of ``names`` is at hand, in the cache or in the package."""
        return all(
            (self.folder / name).is_file() or any((folder / f"{name}.xz").is_file() for folder in self._shipped)
            for name in names
        )

    def forget(self) -> None:
        """Remove what this load has read, and take nothing from the package any more."""
        for name in self.reused:
            (self.folder / name).unlink(missing_ok=True)
        self._shipped = []
        self.reused = []
        self.compiled = []

    def _unpacked(self, file: Path) -> bool:
        draft = file.with_suffix(f".{os.getpid()}")
        for folder in self._shipped:
            try:
                with lzma.open(folder / f"{file.name}.xz") as packed, draft.open("wb") as target:
                    shutil.copyfileobj(packed, target)
            except (FileNotFoundError, lzma.LZMAError, EOFError):
                draft.unlink(missing_ok=True)
                continue
            draft.replace(file)
            return True
        return False


def cpu_flags() -> frozenset[str]:
    """Return the processor's features as Linux names them; elsewhere its name, of which no level knows anything."""
    try:
        for line in Path("/proc/cpuinfo").read_text("utf-8").splitlines():
            if line.startswith(("flags", "Features")):
                return frozenset(line.partition(":")[2].split())
    except OSError:
        pass
    return frozenset({platform.processor() or platform.machine()})


__all__ = ("LEVELS", "SHIPPED", "GraphStore", "cpu_flags")

"""The import of MAX, also while its own Mojo extensions are not compiled yet.

MAX ships them as source, and its importer has the linker write to where the next import looks. Two first imports at
once, or one that was killed while linking, leave half a library there that no later import can load.
"""

from __future__ import annotations

import fcntl
import functools
import importlib
import os
from pathlib import Path

from hyperllama_max import compat


def import_max() -> None:
    """Import ``max.pipelines``. Blocks while an extension compiles, here or in another process.

    A library that cannot be loaded is compiled anew, once. Raises ImportError.
    """
    unloadable: set[str] = set()
    with compat.library_compiler(lambda in_place: functools.partial(compile_whole, in_place)):
        while True:
            try:
                importlib.import_module("max.pipelines")
                return
            except ImportError as error:
                library = error.path or ""
                if ".hash-" not in library or library in unloadable:  # not one that the importer has compiled
                    raise
                unloadable.add(library)
                Path(library).unlink(missing_ok=True)


def compile_whole(compile_in_place: compat.CompileLibrary, source: Path, library: Path) -> None:
    """Compile beside ``library`` and rename, one process at a time; what another one made meanwhile is taken."""
    folder = os.open(library.parent, os.O_RDONLY)
    try:
        fcntl.flock(folder, fcntl.LOCK_EX)
        if library.is_file():
            return
        draft = library.with_name(f".{os.getpid()}.so")
        try:
            compile_in_place(source, draft)
            draft.replace(library)
        finally:
            draft.unlink(missing_ok=True)
    finally:
        os.close(folder)


__all__ = ("compile_whole", "import_max")

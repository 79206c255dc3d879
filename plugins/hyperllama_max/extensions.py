"""Importing MAX when its own Mojo extensions are not compiled yet.

MAX ships them as source, and its importer has the linker write to where the next import looks. Two first imports at
once, or one that was killed while linking, leave half a library there that no later import can load.
"""

from __future__ import annotations

import contextlib
import fcntl
import functools
import importlib
import os
from collections.abc import Callable, Iterator
from pathlib import Path

_Compile = Callable[[Path, Path], None]


def import_max() -> None:
    """Import ``max.pipelines``. Blocks while an extension compiles, here or in another process.

    A library that cannot be loaded is compiled anew, once. Raises ImportError.
    """
    unloadable: set[str] = set()
    with _whole_libraries():
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


def compile_whole(compile_in_place: _Compile, source: Path, library: Path) -> None:
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


@contextlib.contextmanager
def _whole_libraries() -> Iterator[None]:
    from mojo import importer

    in_place = importer._compile_mojo_to_so  # noqa: SLF001 - the importer has no other seam
    importer._compile_mojo_to_so = functools.partial(compile_whole, in_place)  # noqa: SLF001
    try:
        yield
    finally:
        importer._compile_mojo_to_so = in_place  # noqa: SLF001


__all__ = ("compile_whole", "import_max")

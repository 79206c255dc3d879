"""The private parts of MAX and of transformers that this plugin uses; a new release changes this file only.

``tests/max/test_max_compat.py`` has a test for each that names what broke; ``pyproject.toml`` holds both packages below
the next release.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeAlias

CompileLibrary: TypeAlias = Callable[[Path, Path], None]  # from a source to a shared library


def compile_template(source: str) -> Any:
    """Return the chat template compiled in transformers' sandbox. Raises jinja2.TemplateError."""
    from transformers.utils.chat_template_utils import _compile_jinja_template

    return _compile_jinja_template(source)


@contextlib.contextmanager
def library_compiler(wrap: Callable[[CompileLibrary], CompileLibrary]) -> Iterator[None]:
    """Have Mojo's importer compile its libraries with what ``wrap`` makes of its own function."""
    from mojo import importer

    own = importer._compile_mojo_to_so  # noqa: SLF001 - the importer has no other seam
    importer._compile_mojo_to_so = wrap(own)  # noqa: SLF001
    try:
        yield
    finally:
        importer._compile_mojo_to_so = own  # noqa: SLF001


@contextlib.contextmanager
def importing_graphs(folder: Path) -> Iterator[None]:
    """Have MAX take compiled graphs from ``folder``, each checked against the one it is to stand for."""
    from max.engine import InferenceSession
    from max.engine._precompiled_mefs import MefStore
    from max.graph.graph import KernelLibrary

    verify = KernelLibrary.verify_custom_op
    # A pure check of graphs that compiled before; half a second for each.
    KernelLibrary.verify_custom_op = lambda self, custom_op: None
    InferenceSession.default_mef_store = MefStore.for_import(folder, verify_body=True)
    try:
        yield
    finally:
        InferenceSession.default_mef_store = None
        KernelLibrary.verify_custom_op = verify


@contextlib.contextmanager
def exporting_graphs(folder: Path) -> Iterator[None]:
    """Have MAX leave what it compiles in ``folder``; the manifest is written at the end. Raises OSError."""
    from max.engine import InferenceSession
    from max.engine._precompiled_mefs import MefStore

    store = MefStore.for_export(folder)
    InferenceSession.default_mef_store = store
    try:
        yield
        store.write_manifest()
    finally:
        InferenceSession.default_mef_store = None


def xgrammar() -> Any:
    """Return MAX's own build of xgrammar."""
    from max import _xgrammar

    return _xgrammar


def grammar_compiler(backend: Any) -> Any:
    """Return the compiler of MAX's grammar backend, whose own methods compile and match in one."""
    return backend._compiler  # noqa: SLF001


__all__ = (
    "CompileLibrary",
    "compile_template",
    "exporting_graphs",
    "grammar_compiler",
    "importing_graphs",
    "library_compiler",
    "xgrammar",
)

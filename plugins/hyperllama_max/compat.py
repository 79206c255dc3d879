"""The private parts of MAX and of transformers that this plugin uses; a new release changes this file only.

``tests/max/test_max_compat.py`` has a test for each that names what broke; ``pyproject.toml`` holds both packages below
the next release.
"""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeAlias

CompileLibrary: TypeAlias = Callable[[Path, Path], None]  # from a source to a shared library
ObtainGraph: TypeAlias = Callable[[str, str, Callable[[Path], Any], Callable[[], Any]], Any]


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
def reusing_graphs(obtain: ObtainGraph) -> Iterator[None]:
    """Have MAX ask ``obtain`` for each graph that it would compile.

    It gets the graph's name, a digest of what it computes, a function that reads a compiled graph from a file and one
    that compiles it, and returns what either of them did.
    """
    from max.engine import InferenceSession
    from max.engine._precompiled_mefs import _fingerprint
    from max.graph.graph import Graph, KernelLibrary

    verify, own = KernelLibrary.verify_custom_op, InferenceSession.compile_reusing_mefs

    def reuse(session: Any, model: Any, **options: Any) -> Any:
        if not isinstance(model, Graph):
            return own(session, model, **options)
        compile_graph = functools.partial(own, session, model, **options)
        return obtain(model.name, _fingerprint(model), session.compile, compile_graph)

    # Half a second for each operation; what it finds, compiling finds as well.
    KernelLibrary.verify_custom_op = lambda self, custom_op: None
    InferenceSession.compile_reusing_mefs = reuse
    try:
        yield
    finally:
        InferenceSession.compile_reusing_mefs = own
        KernelLibrary.verify_custom_op = verify


def bound_inputs(model: Any, tree: Any) -> Any:
    """Return the types of a graph's inputs, in order, once the batch processor of ``model`` knows them by name."""
    return model._bind_graph_inputs(tree)  # noqa: SLF001


def xgrammar() -> Any:
    """Return MAX's own build of xgrammar."""
    from max import _xgrammar

    return _xgrammar


def grammar_compiler(backend: Any) -> Any:
    """Return the compiler of MAX's grammar backend, whose own methods compile and match in one."""
    return backend._compiler  # noqa: SLF001


__all__ = (
    "CompileLibrary",
    "ObtainGraph",
    "bound_inputs",
    "compile_template",
    "grammar_compiler",
    "library_compiler",
    "reusing_graphs",
    "xgrammar",
)

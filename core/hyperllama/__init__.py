"""One gateway, many protocols, any engine."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hyperllama.hookspecs import hookimpl

__version__ = "0.1.0"


def __getattr__(name: str) -> object:
    """Import ``hookimpl`` at its first use: the command handles signals before it loads anything."""
    if name == "hookimpl":
        from hyperllama.hookspecs import hookimpl

        return hookimpl
    raise AttributeError(f"module 'hyperllama' has no attribute {name!r}")


__all__ = ("__version__", "hookimpl")

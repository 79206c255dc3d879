"""One gateway, many protocols, any engine."""

from __future__ import annotations

from hyperllama.hookspecs import hookimpl

__version__ = "0.1.0"

__all__ = ("__version__", "hookimpl")

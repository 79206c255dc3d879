"""A synthetic engine: text from a hash, at a set pace, with faults on demand; for tests, demos and load."""

from __future__ import annotations

from collections.abc import Iterable

from hyperllama.config import Config
from hyperllama.hookspecs import hookimpl
from hyperllama.spi import Engine


@hookimpl
def hyperllama_engines(config: Config) -> Iterable[Engine]:
    from hyperllama_sim.engine import SimEngine

    return (SimEngine(),)


__all__ = ("hyperllama_engines",)

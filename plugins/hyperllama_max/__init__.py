"""Modular MAX as an engine: models of Hugging Face form and GGUF, on CPU or GPU, each in a process of its own."""

from __future__ import annotations

from collections.abc import Iterable

from hyperllama.config import Config
from hyperllama.hookspecs import hookimpl
from hyperllama.spi import Engine


@hookimpl
def hyperllama_engines(config: Config) -> Iterable[Engine]:
    from hyperllama_max.engine import MaxEngine
    from hyperllama_max.settings import MaxSettings

    return (MaxEngine(config.section("max", MaxSettings)),)


__all__ = ("hyperllama_engines",)

"""The two models that ship with the gateway, small enough to live in its repository."""

from __future__ import annotations

from collections.abc import Iterable

from hyperllama import hookimpl
from hyperllama.config import Config
from hyperllama.spi import ModelSource
from hyperllama_builtin.source import BuiltinSource


@hookimpl
def hyperllama_model_sources(config: Config) -> Iterable[ModelSource]:
    return (BuiltinSource(),)


__all__ = ("hyperllama_model_sources",)

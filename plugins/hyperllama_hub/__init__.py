"""Models from the Hugging Face Hub: ``source = "hf:org/repo"``."""

from __future__ import annotations

from collections.abc import Iterable

from hyperllama import hookimpl
from hyperllama.config import Config
from hyperllama.spi import ModelSource
from hyperllama_hub.source import HubSource


@hookimpl
def hyperllama_model_sources(config: Config) -> Iterable[ModelSource]:
    return (HubSource(timeout=config.store.hub_timeout),)


__all__ = ("hyperllama_model_sources",)

"""The Ollama protocol, so that no client of Ollama can tell the difference."""

from __future__ import annotations

from collections.abc import Iterable

from hyperllama.config import Config
from hyperllama.hookspecs import hookimpl
from hyperllama.spi import WireProtocol
from hyperllama_ollama.protocol import Ollama
from hyperllama_ollama.settings import Settings


@hookimpl
def hyperllama_protocols(config: Config) -> Iterable[WireProtocol]:
    return (Ollama(config.section("ollama", Settings)),)


__all__ = ("hyperllama_protocols",)

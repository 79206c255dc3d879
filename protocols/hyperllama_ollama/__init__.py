"""The Ollama protocol, so that no client of Ollama can tell the difference."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from hyperllama.config import Config
from hyperllama.hookspecs import hookimpl
from hyperllama.spi import WireProtocol
from hyperllama_ollama.environment import overrides
from hyperllama_ollama.protocol import Ollama
from hyperllama_ollama.settings import Settings


@hookimpl
def hyperllama_protocols(config: Config) -> Iterable[WireProtocol]:
    return (Ollama(config.section("ollama", Settings), config.body),)


@hookimpl
def hyperllama_environment(environ: Mapping[str, str]) -> Mapping[str, object]:
    return overrides(environ)


__all__ = ("hyperllama_environment", "hyperllama_protocols")

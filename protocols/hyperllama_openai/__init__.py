"""The OpenAI protocol."""

from __future__ import annotations

from collections.abc import Iterable

from hyperllama import hookimpl
from hyperllama.config import Config
from hyperllama.spi import WireProtocol


@hookimpl
def hyperllama_protocols(config: Config) -> Iterable[WireProtocol]:
    from hyperllama.web import Fetcher
    from hyperllama_openai.protocol import OpenAI
    from hyperllama_openai.settings import Settings

    return (OpenAI(config.section("openai", Settings), Fetcher(config.server.image_hosts), config.body),)


__all__ = ("hyperllama_protocols",)

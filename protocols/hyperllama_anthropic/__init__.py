"""The Anthropic protocol."""

from __future__ import annotations

from collections.abc import Iterable

from hyperllama import hookimpl
from hyperllama.config import Config
from hyperllama.spi import WireProtocol


@hookimpl
def hyperllama_protocols(config: Config) -> Iterable[WireProtocol]:
    from hyperllama.web import Fetcher
    from hyperllama_anthropic.protocol import Anthropic
    from hyperllama_anthropic.settings import Settings

    settings, fetcher = config.section("anthropic", Settings), Fetcher(config.server.image_hosts)
    return (Anthropic(settings, fetcher, config.body, config.batches),)


__all__ = ("hyperllama_protocols",)

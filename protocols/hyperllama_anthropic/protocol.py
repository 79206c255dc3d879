"""The Anthropic dialect as the gateway sees it.

The files of a dialect, the same in each: ``wire`` its JSON as types, ``decode`` requests to the core's, ``encode``
the core's answers to bytes, ``errors`` refusals in its words, ``routes`` the handlers that connect them, and
``protocol`` all of it for the gateway. ``fetching`` is what must wait for the network before decoding.
"""

from __future__ import annotations

from collections.abc import Sequence

from litestar.types import ControllerRouterHandler

from hyperllama.config import BodyLimits
from hyperllama.errors import GatewayError
from hyperllama.spi import ErrorReply
from hyperllama.web import BodyReader, Documents, Fetcher
from hyperllama_anthropic import errors
from hyperllama_anthropic.fetching import Inlining
from hyperllama_anthropic.routes import MessageRoutes
from hyperllama_anthropic.settings import Settings
from hyperllama_anthropic.wire import ErrorEnvelope


class Anthropic:
    """``hyperllama.spi.WireProtocol``."""

    name = "anthropic"
    prefixes = ("/v1/messages",)
    error_bodies = (ErrorEnvelope,)

    def __init__(self, settings: Settings, fetcher: Fetcher | None = None, limits: BodyLimits | None = None) -> None:
        """Take ``fetcher`` for images that requests name by URL; None: none is fetched. ``limits`` is ``[body]``."""
        reader = BodyReader(errors.BodyRefusals(), limits)
        self.routes: Sequence[ControllerRouterHandler] = MessageRoutes(
            settings, reader, Inlining(Fetcher() if fetcher is None else fetcher, Documents())
        ).handlers

    def error_reply(self, error: GatewayError, path: str) -> ErrorReply:
        """Return ``error`` in Anthropic's envelope."""
        return errors.reply(error, path)


__all__ = ("Anthropic",)

"""The Anthropic dialect as the gateway sees it."""

from __future__ import annotations

from collections.abc import Sequence

from litestar.types import ControllerRouterHandler

from hyperllama.errors import GatewayError
from hyperllama.spi import ErrorReply, ErrorText
from hyperllama.web import Fetcher
from hyperllama_anthropic import errors
from hyperllama_anthropic.routes import routes
from hyperllama_anthropic.settings import Settings
from hyperllama_anthropic.wire import ErrorEnvelope


class Anthropic:
    """Its routes and its errors."""

    name = "anthropic"
    prefixes = ("/v1/messages",)
    error_bodies = (ErrorEnvelope, ErrorText)

    def __init__(self, settings: Settings, remote: Fetcher | None = None) -> None:
        """``remote`` fetches images that requests name by URL; None: nothing does."""
        self.routes: Sequence[ControllerRouterHandler] = routes(settings, Fetcher() if remote is None else remote)

    def error_reply(self, error: GatewayError, path: str) -> ErrorReply:
        return errors.reply(error, path)


__all__ = ("Anthropic",)

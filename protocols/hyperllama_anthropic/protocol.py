"""The Anthropic dialect as the gateway sees it."""

from __future__ import annotations

from collections.abc import Sequence

from litestar.types import ControllerRouterHandler

from hyperllama.errors import GatewayError
from hyperllama.spi import ErrorReply
from hyperllama_anthropic import errors
from hyperllama_anthropic.routes import routes
from hyperllama_anthropic.settings import Settings


class Anthropic:
    """Its routes and its errors."""

    name = "anthropic"
    prefixes = ("/v1/messages",)

    def __init__(self, settings: Settings) -> None:
        self.routes: Sequence[ControllerRouterHandler] = routes(settings)

    def error_reply(self, error: GatewayError, path: str) -> ErrorReply:
        return errors.reply(error, path)


__all__ = ("Anthropic",)

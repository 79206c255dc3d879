"""The OpenAI dialect as the gateway sees it."""

from __future__ import annotations

import time
from collections.abc import Sequence

from litestar.types import ControllerRouterHandler

from hyperllama.errors import GatewayError
from hyperllama.spi import ErrorReply
from hyperllama_openai import errors
from hyperllama_openai.routes import chat, completions, embeddings, models, rerank, responses, tokens
from hyperllama_openai.settings import Settings
from hyperllama_openai.store import MemoryStore, ResponseStore


class OpenAI:
    """Its routes and its errors."""

    name = "openai"
    prefixes = (
        "/v1",
        "/chat/completions",
        "/completions",
        "/embeddings",
        "/models",
        "/tokenize",
        "/detokenize",
        "/responses",
        "/rerank",
        "/v2/rerank",
        "/score",
    )

    def __init__(self, settings: Settings, store: ResponseStore | None = None) -> None:
        """``store``: where responses are kept; None: in memory."""
        store = MemoryStore(max_bytes=settings.response_bytes) if store is None else store
        self.routes: Sequence[ControllerRouterHandler] = (
            *models.routes(since=int(time.time())),
            *chat.routes(settings),
            *completions.routes(settings),
            *embeddings.routes(settings),
            *tokens.routes(settings),
            *responses.routes(settings, store),
            *rerank.routes(settings),
        )

    def error_reply(self, error: GatewayError, path: str) -> ErrorReply:
        return errors.reply(error, param=_input_of(path), path=path)


def _input_of(path: str) -> str:
    """The field that holds a route's input: what was too long when something was."""
    if path.endswith("/chat/completions"):
        return "messages"
    return "prompt" if path.endswith("/completions") else "input"


__all__ = ("OpenAI",)

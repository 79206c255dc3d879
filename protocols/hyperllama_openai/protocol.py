"""The OpenAI dialect as the gateway sees it."""

from __future__ import annotations

import time
from collections.abc import Sequence

from litestar.types import ControllerRouterHandler

from hyperllama.errors import GatewayError
from hyperllama.spi import ErrorReply, ErrorText
from hyperllama.web import Fetcher
from hyperllama_openai import batch_lines, errors
from hyperllama_openai.routes import batches, chat, completions, embeddings, files, models, rerank, responses, tokens
from hyperllama_openai.settings import Settings
from hyperllama_openai.wire.errors import ErrorEnvelope

_INPUTS = (
    ("/chat/completions", "messages"),
    ("/completions", "prompt"),
    ("/rerank", "documents"),
    ("/score", "text_2"),
    ("/tokenize", "prompt"),
)


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
        "/files",
        "/batches",
    )
    error_bodies = (ErrorEnvelope, ErrorText)

    def __init__(self, settings: Settings, remote: Fetcher | None = None) -> None:
        """``remote`` fetches images that requests name by URL; None: nothing does."""
        remote = Fetcher() if remote is None else remote
        self.routes: Sequence[ControllerRouterHandler] = (
            *models.routes(since=int(time.time())),
            *chat.routes(settings, remote),
            *completions.routes(settings),
            *embeddings.routes(settings),
            *tokens.routes(settings),
            *responses.routes(settings, remote),
            *rerank.routes(settings),
            *files.routes(),
            *batches.routes(settings),
        )

    batch_line = staticmethod(batch_lines.line)
    batch_result = staticmethod(batch_lines.result)
    batch_unrun = staticmethod(batch_lines.unrun)

    def error_reply(self, error: GatewayError, path: str) -> ErrorReply:
        return errors.reply(error, param=_input_of(path), path=path)


def _input_of(path: str) -> str:
    """The field that holds a route's input: what was too long when something was."""
    for end, field in _INPUTS:
        if path.rstrip("/").endswith(end):
            return field
    return "input"


__all__ = ("OpenAI",)

"""The OpenAI dialect as the gateway sees it."""

from __future__ import annotations

import time
from collections.abc import Sequence

from litestar import Router
from litestar.types import ControllerRouterHandler

from hyperllama.config import BodyLimits
from hyperllama.errors import GatewayError
from hyperllama.spi import BatchLine, ErrorReply
from hyperllama.web import BodyReader, Documents, Fetcher
from hyperllama_openai import batch_lines, errors
from hyperllama_openai.fetching import Sources
from hyperllama_openai.routes.batches import BatchRoutes
from hyperllama_openai.routes.chat import ChatRoutes
from hyperllama_openai.routes.compaction import CompactionRoutes
from hyperllama_openai.routes.completions import CompletionRoutes
from hyperllama_openai.routes.embeddings import EmbeddingRoutes
from hyperllama_openai.routes.files import FileRoutes
from hyperllama_openai.routes.models import ModelRoutes
from hyperllama_openai.routes.rerank import RerankRoutes
from hyperllama_openai.routes.responses import ResponsesRoutes
from hyperllama_openai.routes.stored_chats import StoredChatRoutes
from hyperllama_openai.routes.tokens import TokenRoutes
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
    """The OpenAI dialect: its routes and its errors."""

    name = "openai"
    prefixes = (
        "/v1",
        "/chat/completions",
        "/completions",
        "/embeddings",
        "/models",
        "/tokenize",
        "/detokenize",
        "/tokenizer_info",
        "/responses",
        "/rerank",
        "/v2/rerank",
        "/score",
        "/files",
        "/batches",
    )
    error_bodies = (ErrorEnvelope,)

    def __init__(self, settings: Settings, fetcher: Fetcher | None = None, limits: BodyLimits | None = None) -> None:
        """Take ``fetcher`` for images that requests name by URL; None: none is fetched. ``limits`` is ``[body]``."""
        sources = Sources(Fetcher() if fetcher is None else fetcher, Documents())
        reader = BodyReader(errors.BodyRefusals(), limits)
        self._limits = reader.limits
        reranking = RerankRoutes(settings, reader)
        resources = (
            ModelRoutes(since=int(time.time())),
            ChatRoutes(settings, reader, sources),
            StoredChatRoutes(settings, reader),
            CompletionRoutes(settings, reader),
            EmbeddingRoutes(settings, reader),
            TokenRoutes(settings, reader),
            ResponsesRoutes(settings, reader, sources),
            CompactionRoutes(settings, reader, sources),
            reranking,
            FileRoutes(reader),
            BatchRoutes(settings, reader),
        )
        handlers = [handler for resource in resources for handler in resource.handlers]
        self.routes: Sequence[ControllerRouterHandler] = (
            Router(path="/v1", route_handlers=handlers),
            Router(path="/", route_handlers=[*handlers, *reranking.second_version]),
        )

    batch_fault = staticmethod(batch_lines.fault)
    batch_result = staticmethod(batch_lines.result)
    batch_unrun = staticmethod(batch_lines.unrun)

    def batch_line(self, raw: bytes, endpoint: str) -> BatchLine:
        """Return the line. Raise InvalidRequest with its fault."""
        return batch_lines.line(raw, endpoint, limits=self._limits)

    def error_reply(self, error: GatewayError, path: str) -> ErrorReply:
        return errors.reply(error, param=_input_of(path), path=path)


def _input_of(path: str) -> str:
    """Return the field that holds a route's input, for errors about its length."""
    for end, field in _INPUTS:
        if path.rstrip("/").endswith(end):
            return field
    return "input"


__all__ = ("OpenAI",)

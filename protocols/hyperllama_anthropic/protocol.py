"""The Anthropic dialect as the gateway sees it.

The files of a dialect, the same in each: ``wire`` its JSON as types, ``decode`` requests to the core's, ``encode``
the core's answers to bytes, ``errors`` refusals in its words, ``routes`` the handlers that connect them, and
``protocol`` all of it for the gateway. ``fetching`` is what must wait for the network before decoding.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence

from litestar.types import ControllerRouterHandler

from hyperllama.config import Batches, BodyLimits
from hyperllama.errors import GatewayError
from hyperllama.spi import BatchLine, ErrorReply
from hyperllama.web import BodyReader, Documents, Fetcher
from hyperllama_anthropic import batch_lines, errors
from hyperllama_anthropic.fetching import Inlining
from hyperllama_anthropic.routes.batches import BatchRoutes
from hyperllama_anthropic.routes.files import FileRoutes
from hyperllama_anthropic.routes.messages import MessageRoutes
from hyperllama_anthropic.routes.models import ModelRoutes
from hyperllama_anthropic.settings import Settings
from hyperllama_anthropic.wire import ErrorEnvelope


class Anthropic:
    """``hyperllama.spi.WireProtocol``."""

    name = "anthropic"
    prefixes = ("/v1/messages", errors.OWN)
    error_bodies = (ErrorEnvelope,)
    known_by = "anthropic-version"
    shared_paths: Mapping[str, str] = {path: errors.OWN + path for path in ("/v1/models", "/v1/files")}

    def __init__(
        self,
        settings: Settings,
        fetcher: Fetcher | None = None,
        limits: BodyLimits | None = None,
        batches: Batches | None = None,
    ) -> None:
        """Take ``fetcher`` for images that requests name by URL; None: none is fetched.

        ``limits`` is ``[body]``, ``batches`` is ``[batches]``; None: their defaults.
        """
        reader = BodyReader(errors.BodyRefusals(), limits)
        bounds = Batches() if batches is None else batches
        inlining = Inlining(Fetcher() if fetcher is None else fetcher, Documents())
        self.routes: Sequence[ControllerRouterHandler] = (
            *MessageRoutes(settings, reader, inlining).handlers,
            *BatchRoutes(settings, reader, bounds).handlers,
            *ModelRoutes(reader, since=time.time(), batches=bounds.enabled).handlers,
            *FileRoutes().handlers,
        )

    batch_cancelled = staticmethod(batch_lines.cancelled)
    batch_fault = staticmethod(batch_lines.fault)
    batch_result = staticmethod(batch_lines.result)
    batch_unrun = staticmethod(batch_lines.unrun)

    def batch_line(self, raw: bytes, endpoint: str) -> BatchLine:
        """Return the line."""
        return batch_lines.line(raw)

    def error_reply(self, error: GatewayError, path: str) -> ErrorReply:
        """Return ``error`` in Anthropic's envelope."""
        return errors.reply(error, path)


__all__ = ("Anthropic",)

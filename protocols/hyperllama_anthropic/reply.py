"""Answers that need no more work, and the header that names the tools which are left out."""

from __future__ import annotations

import msgspec
from litestar.response.base import ASGIResponse

from hyperllama.web import current_request_id

_JSON = msgspec.json.Encoder()


def ready(body: msgspec.Struct) -> ASGIResponse:
    """Return ``body`` as JSON, with the id where Anthropic's clients look for it."""
    headers = {"request-id": current_request_id()}
    return ASGIResponse(body=_JSON.encode(body), media_type="application/json", headers=headers)


__all__ = ("ready",)

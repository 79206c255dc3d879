"""Server-sent events, framed as every client reads them: ``data: ``, one line of JSON, a blank line."""

from __future__ import annotations

import msgspec

from hyperllama.errors import GatewayError
from hyperllama_openai.errors import envelope

MEDIA_TYPE = "text/event-stream; charset=utf-8"
#: nginx and others must not hold events back.
HEADERS = {"x-accel-buffering": "no"}
DONE = b"data: [DONE]\n\n"

JSON = msgspec.json.Encoder()


def event(value: object) -> bytes:
    return b"data: " + JSON.encode(value) + b"\n\n"


def failure(error: GatewayError) -> bytes:
    """Return the last frame of a stream that broke. No ``[DONE]`` follows: nothing may take it for a whole answer."""
    return event(envelope(error))


__all__ = ("DONE", "HEADERS", "JSON", "MEDIA_TYPE", "event", "failure")

"""Ollama's requests as its clients write them, for the OpenAPI document; :mod:`.wire` is what they are read into."""

from __future__ import annotations

from typing import Any

import msgspec

from hyperllama_ollama import wire


def _written(read: type[msgspec.Struct], **differently: Any) -> type[msgspec.Struct]:
    """Return the Struct with all fields nullable; ``differently`` are fields that clients write in another type."""
    fields = [
        (
            field.name,
            differently.get(field.name, field.type) | None,
            msgspec.field(default=None, name=field.encode_name),
        )
        for field in msgspec.structs.fields(read)
    ]
    return msgspec.defstruct(read.__name__, fields, kw_only=True, module=read.__module__)


_DURATION = float | str

GENERATE = _written(wire.GenerateRequest, keep_alive=_DURATION, format=str | dict[str, Any])
CHAT = _written(wire.ChatRequest, keep_alive=_DURATION, format=str | dict[str, Any])
EMBED = _written(wire.EmbedRequest, keep_alive=_DURATION, input=str | list[str])
EMBEDDING = _written(wire.EmbeddingRequest, keep_alive=_DURATION)
SHOW = _written(wire.ShowRequest)
DELETE = _written(wire.DeleteRequest)
TRANSFER = _written(wire.TransferRequest)
COPY = _written(wire.CopyRequest)
CREATE = _written(wire.CreateRequest, license=str | list[str])

__all__ = ("CHAT", "COPY", "CREATE", "DELETE", "EMBED", "EMBEDDING", "GENERATE", "SHOW", "TRANSFER")

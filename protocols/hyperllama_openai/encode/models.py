"""Models as a client lists them: every name it may send, aliases too."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

from hyperllama.models import ModelInfo
from hyperllama_openai.encode import sse
from hyperllama_openai.wire import models as wire


def model(info: ModelInfo, name: str, *, since: int) -> wire.Model:
    """Return the model. ``since``: the constant creation time of a model whose files have none."""
    created = int(info.modified) or since
    return wire.Model(
        id=name,
        created=created,
        owned_by="hyperllama",
        root=info.name,
        parent=info.parent or None,
        max_model_len=info.context_length,
        display_name=name,
        created_at=datetime.fromtimestamp(created, UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
    )


def listing(infos: Sequence[ModelInfo], *, since: int) -> bytes:
    data = [model(info, name, since=since) for info in infos for name in (info.name, *info.aliases)]
    first, last = (data[0].id, data[-1].id) if data else (None, None)
    return sse.JSON.encode(wire.ModelList(data=data, first_id=first, last_id=last))


def one(info: ModelInfo, name: str, *, since: int) -> bytes:
    return sse.JSON.encode(model(info, name, since=since))


__all__ = ("listing", "model", "one")

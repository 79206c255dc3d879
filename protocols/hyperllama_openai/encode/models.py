"""Models as a client lists them: every name it may send, aliases too."""

from __future__ import annotations

from collections.abc import Sequence

from hyperllama.models import ModelInfo
from hyperllama_openai.encode import sse
from hyperllama_openai.wire import models as wire


def model(info: ModelInfo, name: str, *, since: int) -> wire.Model:
    """``since``: a time that does not change, for a model whose files tell none."""
    return wire.Model(
        id=name,
        created=int(info.modified) or since,
        owned_by="hyperllama",
        root=info.name,
        parent=info.parent or None,
        max_model_len=info.context_length,
    )


def listing(infos: Sequence[ModelInfo], *, since: int) -> bytes:
    return sse.JSON.encode(
        wire.ModelList(data=[model(info, name, since=since) for info in infos for name in (info.name, *info.aliases)])
    )


def one(info: ModelInfo, name: str, *, since: int) -> bytes:
    return sse.JSON.encode(model(info, name, since=since))


__all__ = ("listing", "model", "one")

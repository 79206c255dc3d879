"""Requests and responses of the admin API."""

from __future__ import annotations

from datetime import date
from typing import Annotated

import msgspec
from msgspec import Meta

from hyperllama.database.api_key import Key
from hyperllama.database.audit import Act
from hyperllama.database.usage import UsageRow
from hyperllama.models import ModelInfo, Phase
from hyperllama.queue.queue import QueueState

BY = "day or month, key, model"


class KeyList(msgspec.Struct, frozen=True):
    keys: list[Key]


class KeyIssued(msgspec.Struct, frozen=True):
    """The only time that ``secret`` is shown."""

    key: Key
    secret: str


class Rotation(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """``grace``: how long the old secret still works, seconds or "24h"; null: as configured."""

    grace: str | float | None = None


class KeysQuery(msgspec.Struct, frozen=True):
    """``all``: those that ended, too."""

    all: bool = False


class UsageQuery(msgspec.Struct, frozen=True):
    """Days in UTC, both included; null: this month, until today. ``by`` null: as the route has it."""

    since: date | None = None
    until: date | None = None
    by: Annotated[str, Meta(description=f"One or more of {BY}, between commas")] | None = None


class AuditQuery(msgspec.Struct, frozen=True):
    before: Annotated[int, Meta(ge=1, le=2**31)] | None = None
    limit: Annotated[int, Meta(ge=1, le=1000)] = 100
    since: date | None = None
    actor: str = ""
    act: str = ""
    subject: str = ""


class Line(UsageRow, frozen=True, kw_only=True):
    """Usage of one model by one key. ``requests`` are those let in; ``failed`` and ``cancelled`` are among them."""


class Usage(msgspec.Struct, frozen=True):
    """Days in UTC, both included."""

    since: str
    until: str
    lines: list[Line]


class Model(msgspec.Struct, frozen=True, kw_only=True):
    """A model, and its stay in memory. ``phase`` null: it is not loaded; ``expires_at`` null then too, or never."""

    name: str
    engine: str
    aliases: tuple[str, ...]
    source: str
    max_batch_size: int
    context_length: int
    phase: Phase | None
    detail: str = ""  # of the phase
    active: int = 0
    memory_bytes: int = 0
    accelerator_bytes: int = 0
    expires_at: float | None = None


class ModelList(msgspec.Struct, frozen=True):
    models: list[Model]


class QueueList(msgspec.Struct, frozen=True):
    """Queues that were used since the gateway started. ``live``: generations under way, of all models."""

    live: int
    queues: tuple[QueueState, ...]


class AuditPage(msgspec.Struct, frozen=True):
    """``next``: the ``before`` of the page that follows; null: this is the last."""

    acts: list[Act]
    next: int | None


class Problem(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """An error, as RFC 9457 has them; ``code`` and ``param`` are our own."""

    title: str
    status: int
    detail: str
    code: str
    type: str = "about:blank"
    param: str | None = None
    request_id: str = ""


def resting(info: ModelInfo, source: str) -> Model:
    """Return the entry of a model that is not loaded."""
    return Model(
        name=info.name,
        engine=info.engine,
        aliases=info.aliases,
        source=source,
        max_batch_size=info.max_batch_size,
        context_length=info.context_length,
        phase=None,
    )


__all__ = (
    "BY",
    "AuditPage",
    "AuditQuery",
    "KeyIssued",
    "KeyList",
    "KeysQuery",
    "Line",
    "Model",
    "ModelList",
    "Problem",
    "QueueList",
    "Rotation",
    "Usage",
    "UsageQuery",
    "resting",
)

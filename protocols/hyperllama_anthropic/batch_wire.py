"""Message batches, as Anthropic has them."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal, TypeAlias

import msgspec
from msgspec import Meta

from hyperllama.web import Countable

ID_PATTERN = "^[a-zA-Z0-9_-]{1,64}$"

ProcessingStatus: TypeAlias = Literal["in_progress", "canceling", "ended"]


class BatchItem(msgspec.Struct, frozen=True, kw_only=True):
    """One request of a batch. Its ``params`` are checked when it runs, as Anthropic does."""

    custom_id: str
    params: dict[str, Any]


class BatchRequest(msgspec.Struct, frozen=True, kw_only=True):
    countable: ClassVar[Countable] = {"requests": "inputs", "requests.custom_id": "name_bytes"}

    requests: Annotated[list[BatchItem], Meta(min_length=1)]


class PageQuery(msgspec.Struct, frozen=True, kw_only=True):
    """The bounds of a page: what follows ``after_id``, or what stands before ``before_id``."""

    after_id: str | None = None
    before_id: str | None = None
    limit: Annotated[int, Meta(ge=1, le=1000)] = 20


class BatchCounts(msgspec.Struct, frozen=True, kw_only=True):
    processing: int = 0
    succeeded: int = 0
    errored: int = 0
    canceled: int = 0
    expired: int = 0


class MessageBatch(msgspec.Struct, frozen=True, kw_only=True):
    id: str
    type: str = "message_batch"
    processing_status: ProcessingStatus
    request_counts: BatchCounts
    ended_at: str | None
    created_at: str
    expires_at: str
    archived_at: str | None = None
    cancel_initiated_at: str | None
    results_url: str | None


class BatchPage(msgspec.Struct, frozen=True, kw_only=True):
    data: list[MessageBatch]
    has_more: bool
    first_id: str | None
    last_id: str | None


class DeletedBatch(msgspec.Struct, frozen=True, kw_only=True):
    id: str
    type: str = "message_batch_deleted"


class Succeeded(msgspec.Struct, frozen=True, kw_only=True, tag="succeeded"):
    message: msgspec.Raw


class Errored(msgspec.Struct, frozen=True, kw_only=True, tag="errored"):
    error: msgspec.Raw


class Canceled(msgspec.Struct, frozen=True, kw_only=True, tag="canceled"):
    pass


class Expired(msgspec.Struct, frozen=True, kw_only=True, tag="expired"):
    pass


class Result(msgspec.Struct, frozen=True, kw_only=True):
    """A line of the results."""

    custom_id: str
    result: Succeeded | Errored | Canceled | Expired


__all__ = (
    "ID_PATTERN",
    "BatchCounts",
    "BatchItem",
    "BatchPage",
    "BatchRequest",
    "Canceled",
    "DeletedBatch",
    "Errored",
    "Expired",
    "MessageBatch",
    "PageQuery",
    "ProcessingStatus",
    "Result",
    "Succeeded",
)

"""Files and batches, as OpenAI has them."""

from __future__ import annotations

from typing import Annotated, Literal, TypeAlias

import msgspec
from msgspec import Meta

from hyperllama.spi import Status

#: Seconds that a file may be asked to be kept.
Lifetime: TypeAlias = Annotated[int, Meta(ge=3600, le=2_592_000)]


class Upload(msgspec.Struct, frozen=True, kw_only=True):
    """The fields of a form; ``file`` is read as its name, since its bytes are handed on earlier."""

    file: Annotated[str, Meta(extra_json_schema={"contentMediaType": "application/octet-stream"})]
    purpose: Literal["assistants", "batch", "evals", "fine-tune", "user_data", "vision"]
    anchor: Literal["created_at"] | None = msgspec.field(default=None, name="expires_after[anchor]")
    seconds: Lifetime | None = msgspec.field(default=None, name="expires_after[seconds]")


class FilesQuery(msgspec.Struct, frozen=True, kw_only=True):
    after: str | None = None
    limit: Annotated[int, Meta(ge=1, le=10_000)] = 10_000
    order: Literal["asc", "desc"] = "desc"
    purpose: str | None = None


class File(msgspec.Struct, frozen=True, kw_only=True):
    id: str
    object: str = "file"
    bytes: int
    created_at: int
    filename: str
    purpose: str
    status: str = "processed"
    expires_at: int | None = None
    status_details: str | None = None


class FileList(msgspec.Struct, frozen=True, kw_only=True):
    object: str = "list"
    data: list[File]
    first_id: str | None
    last_id: str | None
    has_more: bool


class FileDeleted(msgspec.Struct, frozen=True, kw_only=True):
    id: str
    object: str = "file"
    deleted: bool = True


class ExpiresAfter(msgspec.Struct, frozen=True, kw_only=True):
    anchor: Literal["created_at"]
    seconds: Lifetime


class BatchRequest(msgspec.Struct, frozen=True, kw_only=True):
    input_file_id: str
    endpoint: str
    completion_window: str
    metadata: dict[str, str] | None = None
    output_expires_after: ExpiresAfter | None = None


class BatchesQuery(msgspec.Struct, frozen=True, kw_only=True):
    after: str | None = None
    limit: Annotated[int, Meta(ge=1, le=100)] = 20


class BatchError(msgspec.Struct, frozen=True, kw_only=True):
    code: str
    line: int | None
    message: str
    param: str | None


class BatchErrors(msgspec.Struct, frozen=True, kw_only=True):
    object: str = "list"
    data: list[BatchError]


class RequestCounts(msgspec.Struct, frozen=True, kw_only=True):
    total: int
    completed: int
    failed: int


class InputTokensDetails(msgspec.Struct, frozen=True, kw_only=True):
    cached_tokens: int = 0


class OutputTokensDetails(msgspec.Struct, frozen=True, kw_only=True):
    reasoning_tokens: int = 0


class BatchUsage(msgspec.Struct, frozen=True, kw_only=True):
    input_tokens: int
    input_tokens_details: InputTokensDetails
    output_tokens: int
    output_tokens_details: OutputTokensDetails
    total_tokens: int


class Batch(msgspec.Struct, frozen=True, kw_only=True):
    id: str
    object: str = "batch"
    endpoint: str
    model: str | None
    errors: BatchErrors | None
    input_file_id: str
    completion_window: str = "24h"
    status: Status
    output_file_id: str | None
    error_file_id: str | None
    created_at: int
    in_progress_at: int | None
    expires_at: int
    finalizing_at: int | None
    completed_at: int | None
    failed_at: int | None
    expired_at: int | None
    cancelling_at: int | None
    cancelled_at: int | None
    request_counts: RequestCounts
    usage: BatchUsage
    metadata: dict[str, str] | None


class BatchList(msgspec.Struct, frozen=True, kw_only=True):
    object: str = "list"
    data: list[Batch]
    first_id: str | None
    last_id: str | None
    has_more: bool


class LineResponse(msgspec.Struct, frozen=True, kw_only=True):
    status_code: int
    request_id: str
    body: msgspec.Raw


class LineError(msgspec.Struct, frozen=True, kw_only=True):
    code: str
    message: str


class LineResult(msgspec.Struct, frozen=True, kw_only=True):
    """A line of an output or error file."""

    id: str
    custom_id: str
    response: LineResponse | None
    error: LineError | None


__all__ = (
    "Batch",
    "BatchError",
    "BatchErrors",
    "BatchList",
    "BatchRequest",
    "BatchUsage",
    "BatchesQuery",
    "ExpiresAfter",
    "File",
    "FileDeleted",
    "FileList",
    "FilesQuery",
    "InputTokensDetails",
    "Lifetime",
    "LineError",
    "LineResponse",
    "LineResult",
    "OutputTokensDetails",
    "RequestCounts",
    "Upload",
)

"""What is kept for callers: records, files, and batches of requests that are made from files while models are idle.

A protocol offers them to its clients in its own words; for batches it says what a line is, as a :class:`BatchDialect`.
The core keeps, runs and resumes them. Nobody but its owner (``Principal.id``) finds anything.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Literal, Protocol, TypeAlias, runtime_checkable

import msgspec

from hyperllama.generation import Usage
from hyperllama.identity import Caller, Principal

Status: TypeAlias = Literal[
    "validating", "failed", "in_progress", "finalizing", "completed", "expired", "cancelling", "cancelled"
]
#: States that a batch does not leave.
ENDED: tuple[Status, ...] = ("failed", "completed", "expired", "cancelled")


class Record(msgspec.Struct, frozen=True, kw_only=True):
    """Something small that a protocol keeps for one of its callers: a stored response, a conversation.

    ``kind`` is ``"<plugin>.<noun>"``, at most 64 characters; ``id`` at most 128, its own within the kind.
    """

    kind: str
    id: str
    owner: str  # ``Principal.id``: nobody else finds it
    created: float  # unix seconds; pages are in this order
    expires: float  # unix seconds; inf: never
    body: bytes


class Records(Protocol):
    """What protocols keep, in the gateway's database, seen by every gateway that shares it."""

    def put(self, record: Record) -> None:
        """Keep it, or replace one of the same owner's. This gateway sees it at once, others within half a second."""
        ...

    async def get(self, kind: str, id: str, owner: str) -> Record | None:
        """None: never there, expired, deleted, or somebody else's. Raises Unavailable when it cannot be told."""
        ...

    def delete(self, kind: str, id: str, owner: str) -> None:
        """Gone, as soon as a new one is there. Nothing happens to one that is somebody else's."""
        ...

    async def page(
        self, kind: str, owner: str, *, after: str | None = None, limit: int = 20, newest_first: bool = True
    ) -> Sequence[Record]:
        """At most ``limit`` of the owner's, from the one after ``after`` on. Raises NotFound when there is no such."""
        ...


class KeptFile(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of a file beside its bytes. Times are unix seconds; ``expires`` None: never."""

    id: str
    owner: str
    purpose: str
    filename: str
    bytes: int
    created: float
    expires: float | None


class FileSink(Protocol):
    """A file on its way in."""

    async def write(self, piece: bytes) -> None:
        """Raise StoreFailed; PayloadTooLarge, also when the owner has no room left."""
        ...

    async def keep(self, *, filename: str, purpose: str, seconds: float | None) -> KeptFile:
        """Finish the file, which is whole. ``seconds``: how long it is kept; None: as configured."""
        ...


class Files(Protocol):
    """What is somebody else's, or expired, is NotFound."""

    def receiving(self, caller: Caller) -> AbstractAsyncContextManager[FileSink]:
        """Leaving it without ``keep`` leaves nothing behind."""
        ...

    async def get(self, id: str, principal: Principal) -> KeptFile: ...

    async def page(
        self, principal: Principal, *, purpose: str | None, after: str | None, limit: int, newest_first: bool
    ) -> Sequence[KeptFile]:
        """At most ``limit``, from the one after ``after`` on; ``purpose`` None: any."""
        ...

    def read(self, file: KeptFile) -> AsyncGenerator[bytes, None]:
        """Its bytes, in pieces. Raises NotFound before the first."""
        ...

    async def delete(self, id: str, principal: Principal) -> None:
        """Raise InvalidRequest while a batch is made from it."""
        ...


class BatchError(msgspec.Struct, frozen=True, kw_only=True):
    """Why a batch failed; ``line`` counts from 1, None: no line in particular."""

    code: str
    message: str
    line: int | None = None
    param: str | None = None


class NewBatch(msgspec.Struct, frozen=True, kw_only=True):
    """What is asked for. ``seconds``: until it expires; ``output_seconds``: how long its results are kept."""

    protocol: str
    endpoint: str
    input_file: str
    seconds: float
    output_seconds: float | None = None
    notes: dict[str, str] = {}  # the client's own


class Batch(msgspec.Struct, frozen=True, kw_only=True):
    """A batch as it stands. ``moments``: when it came into a state; unix seconds."""

    id: str
    owner: str
    protocol: str
    endpoint: str
    input_file: str
    status: Status
    created: float
    expires: float
    model: str = ""  # of its first line; empty: not read yet
    output_file: str | None = None
    error_file: str | None = None
    errors: tuple[BatchError, ...] = ()
    notes: dict[str, str] = {}
    moments: dict[Status, float] = {}
    total: int = 0
    completed: int = 0
    failed: int = 0
    usage: Usage = Usage()


class Batches(Protocol):
    """What is somebody else's is NotFound."""

    async def create(self, wanted: NewBatch, caller: Caller) -> Batch:
        """Raise InvalidRequest for an input file that is none, RateLimited when the owner has too many open."""
        ...

    async def get(self, id: str, principal: Principal) -> Batch: ...

    async def page(self, principal: Principal, *, after: str | None, limit: int) -> Sequence[Batch]:
        """Newest first."""
        ...

    async def cancel(self, id: str, principal: Principal) -> Batch:
        """Lines that are under way are given up, what is done is kept. Raises InvalidRequest when it has ended."""
        ...


class BatchLine(msgspec.Struct, frozen=True):
    """One request of a batch. ``id`` is the client's own for it."""

    id: str
    model: str
    body: bytes


class BatchAnswer(msgspec.Struct, frozen=True):
    """What the route said to one line."""

    status: int
    request_id: str
    body: bytes


class BatchResult(msgspec.Struct, frozen=True):
    """A line of the output file, or of the error file when ``failed``; without its newline."""

    failed: bool
    line: bytes
    usage: Usage = Usage()


@runtime_checkable
class BatchDialect(Protocol):
    """A WireProtocol that has batches, too. Pure; called in threads."""

    def batch_line(self, raw: bytes, endpoint: str) -> BatchLine:
        """One line of an input file. Raises InvalidRequest when it is none for this endpoint."""
        ...

    def batch_result(self, line: BatchLine, answer: BatchAnswer) -> BatchResult: ...

    def batch_unrun(self, line: BatchLine) -> BatchResult:
        """Of a line that the batch expired before."""
        ...


__all__ = (
    "ENDED",
    "Batch",
    "BatchAnswer",
    "BatchDialect",
    "BatchError",
    "BatchLine",
    "BatchResult",
    "Batches",
    "FileSink",
    "Files",
    "KeptFile",
    "NewBatch",
    "Record",
    "Records",
    "Status",
)

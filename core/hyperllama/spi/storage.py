"""Storage for callers: records, files, and batches, whose requests are read from files and run while models idle.

A protocol offers them to its clients in its own words; for batches it parses the lines, as a :class:`BatchDialect`.
The core keeps, runs and resumes them. Only its owner (``Principal.id``) finds anything.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Literal, Protocol, TypeAlias, runtime_checkable

import msgspec

from hyperllama.errors import InvalidRequest, NotFound
from hyperllama.generation import Usage
from hyperllama.identity import Caller, Principal

Status: TypeAlias = Literal[
    "validating", "failed", "in_progress", "finalizing", "completed", "expired", "cancelling", "cancelled"
]
FaultKind: TypeAlias = Literal[
    "broken", "duplicate_id", "file_gone", "key_gone", "line_too_long", "no_lines", "too_many_lines"
]
#: States that a batch does not leave.
ENDED: tuple[Status, ...] = ("failed", "completed", "expired", "cancelled")


class Record(msgspec.Struct, frozen=True, kw_only=True):
    """A small value that a protocol keeps for one of its callers: a stored response, a conversation.

    ``kind`` is ``"<plugin>.<noun>"``, at most 64 characters; ``id`` at most 128, its own within the kind.
    """

    kind: str
    id: str
    owner: str  # ``Principal.id``: only its owner finds it
    created: float  # unix seconds; pages are in this order
    expires: float  # unix seconds; inf: never
    body: bytes


class Records(Protocol):
    """Records of protocols in the gateway's database, shared by every gateway that uses it."""

    def put(self, record: Record) -> None:
        """Keep ``record``, in place of an older one of its owner. Other gateways see it within half a second."""
        ...

    async def get(self, kind: str, id: str, owner: str) -> Record | None:
        """Return the record; None: unknown, expired, deleted, or another owner's. Raises Unavailable."""
        ...

    def delete(self, kind: str, id: str, owner: str) -> None:
        """Delete the record, seen as soon as ``put`` is. Does nothing to one of another owner."""
        ...

    async def page(
        self, kind: str, owner: str, *, after: str | None = None, limit: int = 20, newest_first: bool = True
    ) -> Sequence[Record]:
        """Return at most ``limit`` of the owner's records, those after ``after``. Raises NotFound without that one."""
        ...


class KeptFile(msgspec.Struct, frozen=True, kw_only=True):
    """A kept file, without its bytes. Times are unix seconds; ``expires`` None: never."""

    id: str
    owner: str
    purpose: str
    filename: str
    bytes: int
    created: float
    expires: float | None


class UnknownFile(NotFound):
    """No file of this id, or none of the caller's."""

    def __init__(self, id: str) -> None:
        super().__init__("There is no such file.")
        self.id = id


class FileInUse(InvalidRequest):
    """The file is the input of a batch that has not ended."""

    def __init__(self) -> None:
        super().__init__("The file is in use by a batch.")


class UnusableInput(InvalidRequest):
    """A file that no batch can be made from: ``missing``, or uploaded for something else."""

    def __init__(self, id: str, *, missing: bool) -> None:
        super().__init__("There is no such input file." if missing else "The file is not meant for batches.")
        self.id = id
        self.missing = missing


class UnknownBatch(NotFound):
    """No batch of this id, or none of the caller's."""

    def __init__(self, id: str) -> None:
        super().__init__("There is no such batch.")
        self.id = id


class BatchOpen(InvalidRequest):
    """A batch that cannot be deleted, since it has not ended."""

    def __init__(self, status: Status) -> None:
        super().__init__("The batch has not ended.")
        self.batch_status = status


class BatchEnded(InvalidRequest):
    """A batch that cannot be cancelled, since it has ended or is about to."""

    def __init__(self, status: Status) -> None:
        super().__init__("The batch has ended.")
        self.batch_status = status


class FileSink(Protocol):
    """A file that is being uploaded."""

    async def write(self, piece: bytes) -> None:
        """Append ``piece``. Raise StoreFailed, or PayloadTooLarge, also when the owner's quota is used up."""
        ...

    async def keep(self, *, filename: str, purpose: str, seconds: float | None) -> KeptFile:
        """Finish the file, which is complete. ``seconds``: time to keep it; None: as configured."""
        ...


class Files(Protocol):
    """Files kept for callers. A file that has expired, or of another owner, is NotFound."""

    def receiving(self, caller: Caller) -> AbstractAsyncContextManager[FileSink]:
        """Open a new file of the caller's. Nothing of it is left when the block ends without ``keep``."""
        ...

    async def get(self, id: str, principal: Principal) -> KeptFile: ...

    async def page(
        self, principal: Principal, *, purpose: str | None, after: str | None, limit: int, newest_first: bool
    ) -> Sequence[KeptFile]:
        """Return at most ``limit`` files, beginning after ``after``; ``purpose`` None: any."""
        ...

    def read(self, file: KeptFile) -> AsyncGenerator[bytes, None]:
        """Yield the bytes, in pieces. Raises NotFound before the first."""
        ...

    async def delete(self, id: str, principal: Principal) -> None:
        """Delete the file. Raise InvalidRequest while a batch is made from it."""
        ...


class BatchError(msgspec.Struct, frozen=True, kw_only=True):
    """The reason why a batch failed; ``line`` counts from 1, None: no line in particular."""

    code: str
    message: str
    line: int | None = None
    param: str | None = None


class BatchFault(msgspec.Struct, frozen=True, kw_only=True):
    """The reason why a whole batch fails, worded by its dialect. ``line`` counts from 1; ``id`` is a line's own."""

    kind: FaultKind
    line: int | None = None
    limit: int = 0
    id: str = ""


class NewBatch(msgspec.Struct, frozen=True, kw_only=True):
    """A batch to create. ``seconds``: time until it expires; ``output_seconds``: time that its results are kept.

    ``id_prefix`` begins its id, at most 16 characters; ``total``: lines of the file, 0 while nobody has counted them.
    """

    protocol: str
    endpoint: str
    input_file: str
    seconds: float
    output_seconds: float | None = None
    notes: dict[str, str] = {}  # the client's own
    id_prefix: str = "batch_"
    total: int = 0


class Batch(msgspec.Struct, frozen=True, kw_only=True):
    """The state of a batch. ``moments``: time at which it entered each state; unix seconds."""

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
    failed: int = 0  # the lines that did not run, too
    usage: Usage = Usage()
    unrun: int = 0  # lines that had not run when it expired or was cancelled and that have a result which says so


class Batches(Protocol):
    """Batches of callers. A batch of another owner is NotFound, and one of another ``protocol`` where that is given."""

    async def create(self, wanted: NewBatch, caller: Caller) -> Batch:
        """Create a batch. Raise InvalidRequest for a bad input file, RateLimited when the owner has too many open."""
        ...

    async def get(self, id: str, principal: Principal, *, protocol: str | None = None) -> Batch: ...

    async def page(
        self,
        principal: Principal,
        *,
        after: str | None,
        limit: int,
        before: str | None = None,
        protocol: str | None = None,
    ) -> Sequence[Batch]:
        """Return at most ``limit`` batches, newest first: those after ``after``, or the last ones before ``before``.

        Raises NotFound without that one.
        """
        ...

    async def cancel(self, id: str, principal: Principal, *, protocol: str | None = None) -> Batch:
        """Cancel the lines that have not finished; results are kept. Raises InvalidRequest when the batch has ended."""
        ...

    async def delete(self, id: str, principal: Principal, *, protocol: str | None = None) -> Batch:
        """Forget a batch, and return it as it was; its files stay. Raise InvalidRequest while it has not ended."""
        ...


class BatchAnswer(msgspec.Struct, frozen=True):
    """The route's answer to one line."""

    status: int
    request_id: str
    body: bytes


class BatchLine(msgspec.Struct, frozen=True):
    """One request of a batch. ``id`` is the client's own; ``answer`` is set where the route need not be called."""

    id: str
    model: str
    body: bytes
    answer: BatchAnswer | None = None


class BatchResult(msgspec.Struct, frozen=True):
    """A line of the output file, or of the error file when ``failed``; without its newline."""

    failed: bool
    line: bytes
    usage: Usage = Usage()
    unrun: bool = False  # it failed since the batch ended before it


@runtime_checkable
class BatchDialect(Protocol):
    """A WireProtocol that offers batches. Pure; called in threads."""

    def batch_line(self, raw: bytes, endpoint: str) -> BatchLine:
        """Decode one line of an input file. Raises InvalidRequest when it is not valid for this endpoint."""
        ...

    def batch_result(self, line: BatchLine, answer: BatchAnswer) -> BatchResult: ...

    def batch_fault(self, fault: BatchFault) -> BatchError:
        """Return the dialect's code and sentence for ``fault``."""
        ...

    def batch_unrun(self, line: BatchLine) -> BatchResult:
        """Return the result of a line that had not run when the batch expired."""
        ...


@runtime_checkable
class ReportsCancelled(Protocol):
    """A BatchDialect with a result for each line of a cancelled batch; without it those that did not run have none."""

    def batch_cancelled(self, line: BatchLine) -> BatchResult:
        """Return the result of a line that had not run when the batch was cancelled."""
        ...


__all__ = (
    "ENDED",
    "Batch",
    "BatchAnswer",
    "BatchDialect",
    "BatchEnded",
    "BatchError",
    "BatchFault",
    "BatchLine",
    "BatchOpen",
    "BatchResult",
    "Batches",
    "FaultKind",
    "FileInUse",
    "FileSink",
    "Files",
    "KeptFile",
    "NewBatch",
    "Record",
    "Records",
    "ReportsCancelled",
    "Status",
    "UnknownBatch",
    "UnknownFile",
    "UnusableInput",
)

"""Models on disk, as a protocol manages them: the store, its requests and its progress."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator
from typing import Any, Literal, Protocol, TypeAlias

import msgspec

from hyperllama.errors import InvalidRequest, ModelNotFound, StoreFailed
from hyperllama.identity import Caller

Phase: TypeAlias = Literal[
    "resolving",  # pull: looking for the model's files
    "downloading",  # pull: one file, with digest and bytes
    "verifying",  # pull: every file is there and is what it should be
    "reading_gguf",  # create: the header of a GGUF file
    "quantizing",  # create: with bytes and encodings
    "reusing",  # create: a file that is in the store already, with its digest
    "writing",  # pull, create: the model's manifest
    "locating",  # push: looking for the model in the store
    "not_located",  # push: it is not there; an error follows
    "uploading",  # push: one file, with digest and bytes
    "publishing",  # push: the manifest
    "done",  # the last one
]
Reason: TypeAlias = Literal[
    "model_name",
    "digest_format",
    "digest_mismatch",  # details: the digest that was expected, the one that was found
    "no_source",
    "no_weights",
    "file_type",
    "file_name",  # details: what is wrong with it
    "not_gguf",
    "quantization",  # details: the encoding, and the possible ones, comma-separated
    "quantize_format",
    "quantize_source",
]
Transfer: TypeAlias = Literal["pull", "pull_manifest", "push"]


class Progress(msgspec.Struct, frozen=True):
    """A report of work under way. ``digest`` is ``sha256:`` and 64 hex digits, or empty; sizes are bytes.

    ``encodings``: of weights that are quantized, before and after.
    """

    phase: Phase
    digest: str = ""
    total: int = 0
    completed: int = 0
    encodings: tuple[str, str] = ("", "")


class RecipeMessage(msgspec.Struct, frozen=True):
    """A message that every conversation with the model begins with."""

    role: str
    content: str = ""


class Recipe(msgspec.Struct, frozen=True, kw_only=True):
    """A model to make from a base, or from uploaded files. Empty: the base's own; of ``parameters``, None."""

    base: str = ""
    files: dict[str, str] = {}  # digests of uploaded blobs by the file's name
    adapters: dict[str, str] = {}
    draft_files: dict[str, str] = {}
    template: str = ""  # Jinja
    license: tuple[str, ...] = ()
    system: str = ""
    parameters: dict[str, Any] | None = None
    messages: tuple[RecipeMessage, ...] = ()
    quantization: str = ""  # one of ModelStore.quantizations, in any case; empty: weights stay as they are
    extra: dict[str, Any] = {}  # kept with the model for the dialect that made it


class Refused(InvalidRequest):
    """A name, digest, file or recipe that the store cannot take. Dialects may word ``reason`` their own way."""

    def __init__(
        self, message: str, *, reason: Reason, param: str | None = None, details: tuple[str, ...] = ()
    ) -> None:
        super().__init__(message, param=param)
        self.reason = reason
        self.details = details


class NotOnHub(ModelNotFound):
    """The Hub has no model of that name."""


class TransferFailed(StoreFailed):
    """A pull or push broke off; ``transfer`` says which."""

    def __init__(self, message: str, *, transfer: Transfer = "pull") -> None:
        super().__init__(message)
        self.transfer: Transfer = transfer


class SourceUnavailable(TransferFailed):
    """A pull or push that the Hub does not serve now: it is silent, too slow, out of reach or overloaded."""

    status = 503
    code = "unavailable"

    def __init__(self, message: str, *, transfer: Transfer = "pull", retry_after: float = 10.0) -> None:
        super().__init__(message, transfer=transfer)
        self.retry_after = retry_after


class WrongContent(StoreFailed):
    """A file that was downloaded does not have the digest that it should have."""

    def __init__(self, filename: str, expected: str, found: str) -> None:
        super().__init__(f"{filename} has the digest {found}, not {expected}; it must be downloaded again")
        self.filename = filename
        self.expected = expected
        self.found = found


class ModelStore(Protocol):
    """Models on disk. Names are short (``m:latest``, ``org/m:tag``); digests are ``sha256:`` and 64 hex digits.

    The generators yield Progress and end with ``done``. Closing one stops its work unless another caller waits for it.
    Every method raises GatewayError: Forbidden for a name that the caller may not use, Refused for a value it cannot
    take, StoreFailed for a disk or a network that fails.
    """

    @property
    def quantizations(self) -> tuple[str, ...]:
        """Encodings that weights can be quantized to."""
        ...

    def create(self, recipe: Recipe, name: str, caller: Caller) -> AsyncGenerator[Progress, None]: ...

    def pull(self, name: str, caller: Caller, *, insecure: bool = False) -> AsyncGenerator[Progress, None]:
        """Download a model. Raise NotOnHub, TransferFailed."""
        ...

    def push(self, name: str, caller: Caller, *, insecure: bool = False) -> AsyncGenerator[Progress, None]:
        """Upload a model. Raise ModelNotFound, TransferFailed."""
        ...

    async def copy(self, source: str, destination: str, caller: Caller) -> None:
        """Give a model a second name. Raise ModelNotFound when there is no ``source``."""
        ...

    async def delete(self, name: str, caller: Caller) -> None:
        """Remove a model; a loaded one is unloaded when its requests have ended. Raise ModelNotFound."""
        ...

    async def has_blob(self, digest: str, caller: Caller) -> bool: ...

    async def put_blob(self, digest: str, content: AsyncIterator[bytes], caller: Caller) -> bool:
        """Store an upload; return whether it is new. One that is there is not read. Raise Refused, PayloadTooLarge."""
        ...


__all__ = (
    "ModelStore",
    "NotOnHub",
    "Phase",
    "Progress",
    "Reason",
    "Recipe",
    "RecipeMessage",
    "Refused",
    "Transfer",
    "TransferFailed",
    "WrongContent",
)

"""Engines, which run models, and sources, which bring their files."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol, TypeAlias, runtime_checkable

from hyperllama.embedding import EmbeddingRequest, Embeddings
from hyperllama.generation import Effort, GenerationRequest, ToolSpec
from hyperllama.messages import Input
from hyperllama.models import LoadProgress, ModelInfo, ModelSpec
from hyperllama.stream import TokenStream

Report: TypeAlias = Callable[[LoadProgress], None]


class LoadedModel(Protocol):
    """A model ready to generate. Made by an :class:`Engine`, owned by the catalog."""

    @property
    def info(self) -> ModelInfo: ...

    @property
    def failure(self) -> str | None:
        """The reason why it can no longer serve; None while it can. The catalog then closes it and loads it again."""
        ...

    def memory(self) -> tuple[int, int]:
        """Return the resident and the accelerator bytes that unloading would free."""
        ...

    async def generate(self, request: GenerationRequest) -> TokenStream:
        """Admit ``request``, then return its tokens.

        Awaiting submits the request: whatever can be refused is refused here,
        while the client can still be sent a status code. Closing the returned
        stream, started or not, cancels the work.
        """
        ...

    def watch(self, on_failure: Callable[[str], None]) -> None:
        """Call ``on_failure`` on the event loop once, at the moment ``failure`` is set."""
        ...

    async def close(self) -> None:
        """Release everything: processes have ended and memory is free when this returns. Running streams fail."""
        ...


@runtime_checkable
class GeneratesBatches(Protocol):
    """A loaded model that runs whole batches and admits nothing to one that is running. The core gathers them."""

    async def generate_batch(self, requests: Sequence[GenerationRequest]) -> Sequence[TokenStream]:
        """Admit ``requests`` as one batch, and return their streams in order.

        At most ``info.max_batch_size`` requests, and one batch at a time.

        The batch is over when every stream is closed; closing one ends that answer alone. Raises InvalidRequest when a
        request is at fault: then each is sent by itself, so that its own client hears of it. ``generate`` is a batch
        of one.
        """
        ...


@runtime_checkable
class Embeds(Protocol):
    """A loaded model that makes vectors."""

    async def embed(self, request: EmbeddingRequest) -> Embeddings:
        """Return one vector per input, in order. Raises ContextTooLong when an input is too long and not to be cut."""
        ...


@runtime_checkable
class Tokenizes(Protocol):
    """A loaded model that shows its tokenizer."""

    async def tokenize(
        self, input: Input, *, tools: Sequence[ToolSpec] = (), reasoning: bool | Effort | None = None
    ) -> tuple[int, ...]:
        """Return the token ids the engine would see, chat template applied, with ``tools`` and ``reasoning``."""
        ...

    async def detokenize(self, ids: Sequence[int]) -> str: ...


@runtime_checkable
class TokenTexts(Protocol):
    """A loaded model that returns the texts of many tokens in one call; the others are called once a token."""

    async def token_texts(self, ids: Sequence[int]) -> tuple[str, ...]:
        """Return the text of each token by itself. Raises what ``detokenize`` raises."""
        ...


@runtime_checkable
class Beats(Protocol):
    """A loaded model that works in a process of its own."""

    def silent_for(self) -> float:
        """Return the seconds since its last sign of life; 0 when none is expected."""
        ...


class Engine(Protocol):
    """Something that can load models: MAX on this machine, a synthetic one, a remote one."""

    @property
    def name(self) -> str: ...

    def describe(self, spec: ModelSpec, path: Path | None) -> ModelInfo:
        """Describe the model, read from its files without loading it. Runs in a thread; reads files, nothing else.

        ``path`` is the path of its files as ``ModelSource.local`` returns it; None: not here yet, or none needed.
        Raises :class:`~hyperllama.errors.ConfigError` when it could never be loaded as configured.
        """
        ...

    async def load(self, spec: ModelSpec, path: Path | None, report: Report) -> LoadedModel:
        """Load the model, reporting progress. Raises LoadFailed.

        When it raises or is cancelled, everything that it started has ended.
        """
        ...


@runtime_checkable
class Shares(Protocol):
    """An engine whose loaded models can serve several names, with the ``rendering`` of each request.

    Its models take ``rendering`` in a GenerationRequest, and as a keyword of ``tokenize`` where it is not None.
    """

    def sharing(self, spec: ModelSpec, path: Path | None) -> str | None:
        """Return a text that is equal for two models exactly when a load of either serves both; None: none can.

        Same files and same settings of the engine; name, system, template and parameters do not matter. Reads
        directories, nothing else. Runs in a thread.
        """
        ...


class ModelSource(Protocol):
    """A source of models: ``scheme`` is the word before the colon in ``source = "builtin:hyperllama-tiny"``."""

    @property
    def scheme(self) -> str: ...

    def models(self) -> Sequence[ModelSpec]:
        """Return the models offered without a table in the config. A table of the same name replaces one."""
        ...

    def local(self, reference: str) -> Path | None:
        """Return the path of the files; None: not here yet. Reads directories, nothing else. Runs in a thread.

        Raises :class:`~hyperllama.errors.ConfigError` when ``reference`` can never be found.
        """
        ...

    async def fetch(self, reference: str, report: Report) -> Path:
        """Download the files unless they are here, check them, and return their path. Called before every load.

        Raises LoadFailed.
        """
        ...


__all__ = (
    "Beats",
    "Embeds",
    "Engine",
    "GeneratesBatches",
    "LoadedModel",
    "ModelSource",
    "Report",
    "Shares",
    "TokenTexts",
    "Tokenizes",
)

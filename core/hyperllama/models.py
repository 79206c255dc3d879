"""Models: as configured, as clients see them, and in memory."""

from __future__ import annotations

from typing import Annotated, Any, Literal, TypeAlias

import msgspec

from hyperllama.messages import Message

Capability: TypeAlias = Literal[
    "completion", "chat", "tools", "vision", "thinking", "insert", "embedding", "structured", "logprobs"
]
Phase: TypeAlias = Literal["starting", "downloading", "importing", "compiling", "loading", "warming", "ready"]


#: Seconds, or inf for ever. A file may write a number or a duration ("5m"); negative: for ever.
_Lifetime: TypeAlias = Annotated[
    float, msgspec.Meta(ge=0, extra={"duration": True, "forever": True}, extra_json_schema={"format": "duration"})
]


class ModelSpec(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """One ``[models.<name>]`` table of config.toml, or one model a source offers."""

    name: str = ""  # the table's key
    engine: str = "max"
    source: str = ""  # a directory, a .gguf file, "builtin:<name>" or "hf:<org>/<repo>"
    device: str = "cpu"  # "cpu", "gpu", "gpu:0,1"
    max_batch_size: Annotated[int, msgspec.Meta(ge=1)] = 16
    max_length: Annotated[int, msgspec.Meta(ge=16)] | None = (
        None  # tokens of prompt and answer; None: the model's own, at most 2048 on CPU
    )
    quantization: str | None = None  # the engine's word for the weights' encoding; None: found out
    aliases: tuple[str, ...] = ()
    keep_alive: _Lifetime | None = None  # None: [server] keep_alive
    preload: bool = False
    system: str | None = None
    template: str | None = None  # path of a Jinja chat template that replaces the model's own
    parameters: dict[str, Any] = {}  # default sampling, by the names of a Modelfile
    tool_parser: str | None = None  # None: by the model's family
    reasoning_parser: str | None = None
    options: dict[str, Any] = {}  # the engine's own, typed by it


class TensorInfo(msgspec.Struct, frozen=True):
    name: str
    type: str
    shape: tuple[int, ...]


class ModelInfo(msgspec.Struct, frozen=True, kw_only=True):
    """A model as clients see it, loaded or not."""

    name: str
    engine: str
    capabilities: frozenset[Capability]
    context_length: int
    aliases: tuple[str, ...] = ()
    modified: float = 0.0  # unix seconds of its newest file
    digest: str = ""  # 64 hex digits
    size_bytes: int = 0  # of its files
    memory_bytes: int = 0  # estimate of what having it loaded takes
    place_bytes: int = 0  # the part of it that each place of the batch takes; 0: none that is known
    format: str = ""  # "safetensors", "gguf"
    family: str = ""
    parameter_count: int = 0
    quantization: str = ""  # "F32", "BF16", "Q4_K_M"
    embedding_length: int = 0
    vocab_size: int = 0
    max_batch_size: int = 1
    max_logprobs: int = 0
    system: str | None = None
    template: str = ""
    license: str = ""
    parent: str = ""
    parameters: dict[str, Any] = {}  # default sampling, by the names of a Modelfile
    messages: tuple[Message, ...] = ()  # that every conversation with it begins with
    metadata: dict[str, Any] = {}  # the model's config.json or GGUF header, as found
    tensors: tuple[TensorInfo, ...] = ()  # of a GGUF file
    extra: dict[str, Any] = {}  # set by the dialect it was made in, with that dialect's own keys

    @property
    def stop(self) -> tuple[str, ...]:
        """The stop strings of a request that gives none."""
        found = self.parameters.get("stop") or ()
        return (found,) if isinstance(found, str) else tuple(text for text in found if text and isinstance(text, str))

    @property
    def num_ctx(self) -> int | None:
        """Default context size of a request, in tokens; None: ``context_length``."""
        found = self.parameters.get("num_ctx")
        return int(found) if isinstance(found, int | float) and found > 0 else None


class LoadProgress(msgspec.Struct, frozen=True):
    """Progress of a load. ``seconds`` since it began; ``estimate`` of its whole length; None: never measured."""

    phase: Phase
    detail: str = ""
    seconds: float = 0.0
    estimate: float | None = None


class RunningModel(msgspec.Struct, frozen=True, kw_only=True):
    """A model that is in memory or on its way there."""

    info: ModelInfo
    progress: LoadProgress
    size_bytes: int  # resident memory of its processes
    size_vram: int
    expires_at: float | None  # unix seconds; None: never
    active: int  # requests in flight


__all__ = ("Capability", "LoadProgress", "ModelInfo", "ModelSpec", "Phase", "RunningModel", "TensorInfo")

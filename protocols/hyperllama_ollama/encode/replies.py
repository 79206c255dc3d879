"""Ollama's answers, field for field and in its key order; UNSET is what Ollama leaves out."""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import UNSET, UnsetType

from hyperllama.models import LoadProgress, TensorInfo


class Function(msgspec.Struct, frozen=True):
    index: int
    name: str
    arguments: dict[str, Any]


class ToolCall(msgspec.Struct, frozen=True):
    id: str | UnsetType
    function: Function


class TopLogprob(msgspec.Struct, frozen=True):
    token: str
    logprob: float
    bytes: list[int] | UnsetType = UNSET


class Logprob(msgspec.Struct, frozen=True):
    token: str
    logprob: float
    bytes: list[int] | UnsetType = UNSET
    top_logprobs: list[TopLogprob] | UnsetType = UNSET


class Message(msgspec.Struct, frozen=True, kw_only=True):
    role: str = "assistant"
    content: str = ""
    thinking: str | UnsetType = UNSET
    tool_calls: list[ToolCall] | UnsetType = UNSET


class DebugInfo(msgspec.Struct, frozen=True, kw_only=True):
    rendered_template: str
    image_count: int | UnsetType = UNSET


class Generated(msgspec.Struct, frozen=True, kw_only=True):
    model: str
    created_at: str
    response: str = ""
    thinking: str | UnsetType = UNSET
    done: bool = True
    done_reason: str | UnsetType = UNSET
    context: list[int] | UnsetType = UNSET
    total_duration: int | UnsetType = UNSET
    load_duration: int | UnsetType = UNSET
    prompt_eval_count: int | UnsetType = UNSET
    prompt_eval_cached_count: int | UnsetType = UNSET
    prompt_eval_duration: int | UnsetType = UNSET
    eval_count: int | UnsetType = UNSET
    eval_duration: int | UnsetType = UNSET
    tool_calls: list[ToolCall] | UnsetType = UNSET
    debug_info: DebugInfo | UnsetType = msgspec.field(default=UNSET, name="_debug_info")
    logprobs: list[Logprob] | UnsetType = UNSET


class Chatted(msgspec.Struct, frozen=True, kw_only=True):
    model: str
    created_at: str
    message: Message = Message()
    done: bool = True
    done_reason: str | UnsetType = UNSET
    debug_info: DebugInfo | UnsetType = msgspec.field(default=UNSET, name="_debug_info")
    logprobs: list[Logprob] | UnsetType = UNSET
    total_duration: int | UnsetType = UNSET
    load_duration: int | UnsetType = UNSET
    prompt_eval_count: int | UnsetType = UNSET
    prompt_eval_cached_count: int | UnsetType = UNSET
    prompt_eval_duration: int | UnsetType = UNSET
    eval_count: int | UnsetType = UNSET
    eval_duration: int | UnsetType = UNSET


class Details(msgspec.Struct, frozen=True, kw_only=True):
    parent_model: str
    format: str
    family: str
    families: list[str] | None
    parameter_size: str
    quantization_level: str
    context_length: int | UnsetType = UNSET
    embedding_length: int | UnsetType = UNSET


class Installed(msgspec.Struct, frozen=True, kw_only=True):
    """An entry of ``/api/tags``."""

    name: str
    model: str
    modified_at: str
    size: int
    digest: str
    details: Details
    capabilities: list[str] | UnsetType = UNSET


class Loaded(msgspec.Struct, frozen=True, kw_only=True):
    """An entry of ``/api/ps``: everything of Ollama's always there."""

    name: str
    model: str
    size: int
    digest: str
    details: Details
    expires_at: str
    size_vram: int
    context_length: int
    progress: LoadProgress | UnsetType = UNSET


class Shown(msgspec.Struct, frozen=True, kw_only=True):
    """The answer of ``/api/show``."""

    license: str | UnsetType = UNSET
    modelfile: str | UnsetType = UNSET
    parameters: str | UnsetType = UNSET
    template: str | UnsetType = UNSET
    system: str | UnsetType = UNSET
    renderer: str | UnsetType = UNSET
    parser: str | UnsetType = UNSET
    details: Details
    messages: list[dict[str, str]] | UnsetType = UNSET
    model_info: dict[str, Any]
    tensors: tuple[TensorInfo, ...] | UnsetType = UNSET
    capabilities: list[str] | UnsetType = UNSET
    modified_at: str
    requires: str | UnsetType = UNSET


class Tags(msgspec.Struct, frozen=True):
    models: list[Installed]


class Running(msgspec.Struct, frozen=True):
    models: list[Loaded]


class Embedded(msgspec.Struct, frozen=True, kw_only=True):
    """The answer of ``/api/embed``; :mod:`.vectors` writes it digit by digit."""

    model: str
    embeddings: list[list[float]]
    total_duration: int | UnsetType = UNSET
    load_duration: int | UnsetType = UNSET
    prompt_eval_count: int | UnsetType = UNSET


class Embedding(msgspec.Struct, frozen=True):
    """The answer of ``/api/embeddings``."""

    embedding: list[float]


class Version(msgspec.Struct, frozen=True):
    version: str


class Progress(msgspec.Struct, frozen=True, kw_only=True):
    """A line of pull, push or create."""

    status: str
    digest: str | UnsetType = UNSET
    total: int | UnsetType = UNSET
    completed: int | UnsetType = UNSET


__all__ = (
    "Chatted",
    "DebugInfo",
    "Details",
    "Embedded",
    "Embedding",
    "Function",
    "Generated",
    "Installed",
    "Loaded",
    "Logprob",
    "Message",
    "Progress",
    "Running",
    "Shown",
    "Tags",
    "ToolCall",
    "TopLogprob",
    "Version",
)

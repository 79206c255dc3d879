"""POST /v1/embeddings."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar

import msgspec
from msgspec import Meta

from hyperllama.web import Countable
from hyperllama_openai.wire import limits


class EmbeddingRequest(msgspec.Struct, frozen=True, kw_only=True):
    countable: ClassVar[Countable] = {"input": "inputs"}
    model: str
    input: str | list[str | limits.TokenId | list[limits.TokenId]]
    encoding_format: str | None = None  # both SDKs ask for base64 when their user says nothing
    dimensions: Annotated[int, Meta(ge=1, le=2**31 - 1)] | None = None
    user: str | None = None
    truncate_prompt_tokens: Annotated[int, Meta(ge=-1, le=2**31 - 1)] | None = None  # vLLM's; -1: to the model's limit
    keep_alive: float | str | None = None
    normalize: bool | None = None
    # Accepted and without effect
    add_special_tokens: bool | None = None
    priority: int | None = None
    request_id: str | None = None
    input_type: Any = None
    task: Any = None


class Embedding(msgspec.Struct, frozen=True, kw_only=True):
    index: int
    embedding: list[float] | str
    object: str = "embedding"


class EmbeddingUsage(msgspec.Struct, frozen=True, kw_only=True):
    prompt_tokens: int
    total_tokens: int


class EmbeddingList(msgspec.Struct, frozen=True, kw_only=True):
    data: list[Embedding]
    model: str
    usage: EmbeddingUsage
    object: str = "list"


__all__ = ("Embedding", "EmbeddingList", "EmbeddingRequest", "EmbeddingUsage")

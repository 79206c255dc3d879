"""POST /v1/rerank as Jina and Cohere have it, and /v1/score as vLLM has it."""

from __future__ import annotations

from typing import Annotated, ClassVar, TypeAlias

import msgspec
from msgspec import UNSET, Meta, UnsetType

from hyperllama.web import Countable

Texts: TypeAlias = Annotated[list[str], Meta(min_length=1)]


class Document(msgspec.Struct, frozen=True, kw_only=True):
    text: str


class RerankRequest(msgspec.Struct, frozen=True, kw_only=True):
    countable: ClassVar[Countable] = {"documents": "inputs"}
    model: str
    query: Annotated[str, Meta(min_length=1)]
    documents: Annotated[list[str | Document], Meta(min_length=1)]
    top_n: Annotated[int, Meta(ge=0, le=2**31 - 1)] | None = None  # 0: all
    return_documents: bool | None = None
    keep_alive: float | str | None = None


class RerankResult(msgspec.Struct, frozen=True, kw_only=True):
    index: int
    relevance_score: float
    document: Document | UnsetType = UNSET


class RerankUsage(msgspec.Struct, frozen=True, kw_only=True):
    prompt_tokens: int
    total_tokens: int


class RerankResponse(msgspec.Struct, frozen=True, kw_only=True):
    id: str
    model: str
    results: list[RerankResult]
    usage: RerankUsage


class ScoreRequest(msgspec.Struct, frozen=True, kw_only=True):
    countable: ClassVar[Countable] = dict.fromkeys(("text_1", "text_2", "queries", "documents"), "inputs")
    model: str
    text_1: str | Texts | None = None
    text_2: str | Texts | None = None
    queries: str | Texts | None = None
    documents: str | Texts | None = None
    keep_alive: float | str | None = None


class Score(msgspec.Struct, frozen=True, kw_only=True):
    index: int
    score: float
    object: str = "score"


class ScoreResponse(msgspec.Struct, frozen=True, kw_only=True):
    id: str
    created: int
    model: str
    data: list[Score]
    usage: RerankUsage
    object: str = "list"


__all__ = (
    "Document",
    "RerankRequest",
    "RerankResponse",
    "RerankResult",
    "RerankUsage",
    "Score",
    "ScoreRequest",
    "ScoreResponse",
)

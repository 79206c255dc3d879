"""Likeness of texts, as the cosine of their vectors."""

from __future__ import annotations

import math
from collections.abc import Sequence

from hyperllama.embedding import Embeddings
from hyperllama_openai.encode import sse
from hyperllama_openai.encode.embeddings import floats
from hyperllama_openai.wire import rerank as wire


def rerank(found: Embeddings, request: wire.RerankRequest, *, id: str) -> bytes:
    """Return the results, best first; ``found`` holds the query's vector, then the documents'."""
    query, *others = (floats(vector) for vector in found.vectors)
    scores = [cosine(query, other) for other in others]
    order = sorted(range(len(scores)), key=lambda index: (-scores[index], index))[: request.top_n or None]
    return sse.JSON.encode(
        wire.RerankResponse(
            id=id,
            model=request.model,
            results=[_result(index, scores[index], request) for index in order],
            usage=wire.RerankUsage(prompt_tokens=found.prompt_tokens, total_tokens=found.prompt_tokens),
        )
    )


def score(found: Embeddings, first: int, *, id: str, created: int, model: str) -> bytes:
    """Return the scores. The ``first`` leading vectors are of first texts: one for all the others, or one each."""
    vectors = [floats(vector) for vector in found.vectors]
    pairs = [(vectors[index % first], other) for index, other in enumerate(vectors[first:])]
    return sse.JSON.encode(
        wire.ScoreResponse(
            id=id,
            created=created,
            model=model,
            data=[wire.Score(index=index, score=cosine(*pair)) for index, pair in enumerate(pairs)],
            usage=wire.RerankUsage(prompt_tokens=found.prompt_tokens, total_tokens=found.prompt_tokens),
        )
    )


def cosine(one: Sequence[float], other: Sequence[float]) -> float:
    """Return the cosine; 0 if a vector has no direction."""
    lengths = math.hypot(*one) * math.hypot(*other)
    return sum(a * b for a, b in zip(one, other, strict=True)) / lengths if lengths else 0.0


def _result(index: int, value: float, request: wire.RerankRequest) -> wire.RerankResult:
    if not request.return_documents:
        return wire.RerankResult(index=index, relevance_score=value)
    document = request.documents[index]
    shown = wire.Document(text=document) if isinstance(document, str) else document
    return wire.RerankResult(index=index, relevance_score=value, document=shown)


__all__ = ("cosine", "rerank", "score")

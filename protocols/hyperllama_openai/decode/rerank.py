"""Requests to compare texts, as texts to embed."""

from __future__ import annotations

from hyperllama.embedding import EmbeddingRequest
from hyperllama_openai.decode.sampling import keep_alive
from hyperllama_openai.errors import InvalidValue, MissingParameter
from hyperllama_openai.settings import Settings
from hyperllama_openai.wire.rerank import RerankRequest, ScoreRequest


def rerank(request: RerankRequest, settings: Settings) -> EmbeddingRequest:
    """Return the request to embed the query, then the documents."""
    texts = tuple(each if isinstance(each, str) else each.text for each in request.documents)
    return _embedding(request.model, (request.query, *texts), "documents", request.keep_alive, settings)


def score(request: ScoreRequest, settings: Settings) -> tuple[EmbeddingRequest, int]:
    """Return the request to embed all texts, and the number of first ones: one for all the others, or one each."""
    first = _texts(request.text_1 if request.queries is None else request.queries, "text_1")
    second = _texts(request.text_2 if request.documents is None else request.documents, "text_2")
    if len(first) not in (1, len(second)):
        raise InvalidValue("'text_1' takes one text, or as many as 'text_2'.", param="text_1")
    return _embedding(request.model, first + second, "text_2", request.keep_alive, settings), len(first)


def _texts(value: str | list[str] | None, param: str) -> tuple[str, ...]:
    if not value:
        raise MissingParameter(f"Missing required parameter: '{param}'.", param=param)
    return (value,) if isinstance(value, str) else tuple(value)


def _embedding(
    model: str, texts: tuple[str, ...], param: str, kept: float | str | None, settings: Settings
) -> EmbeddingRequest:
    if len(texts) > settings.max_inputs + 1:
        raise InvalidValue(f"'{param}' takes at most {settings.max_inputs} texts.", param=param)
    if not all(texts):
        raise InvalidValue("A text must not be empty.", param=param)
    return EmbeddingRequest(model=model, inputs=texts, truncate=False, keep_alive=keep_alive(kept))


__all__ = ("rerank", "score")

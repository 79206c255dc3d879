"""Vectors as JSON: float32 digits for ``/api/embed``, float64 digits for the old route."""

from __future__ import annotations

import asyncio
import math

from hyperllama.embedding import Embeddings
from hyperllama.errors import InvalidRequest
from hyperllama_ollama.encode.text import float32s, float64s, floats, string

_INLINE = 16 * 1024  # bytes of vectors; writing more would be felt by other requests


async def embedded(model: str, found: Embeddings) -> bytes:
    """Return the answer of ``/api/embed``. Raise InvalidRequest when a vector is not finite."""
    if sum(map(len, found.vectors)) > _INLINE:
        return await asyncio.to_thread(_embedded, model, found)
    return _embedded(model, found)


def loaded(model: str) -> bytes:
    """Return the answer of ``/api/embed`` without input: the model is in memory."""
    return b'{"model":%b,"embeddings":[]}' % string(model)


def embedding(vector: bytes) -> bytes:
    """Return the answer of ``/api/embeddings``, which is the vector alone."""
    check(vector)
    return b'{"embedding":%b}' % float64s(vector)


def check(vector: bytes) -> None:
    if not all(map(math.isfinite, floats(vector))):
        raise InvalidRequest("embedding contains NaN or Inf values")


def _embedded(model: str, found: Embeddings) -> bytes:
    for vector in found.vectors:
        check(vector)
    fields = [b'{"model":%b,"embeddings":[%b]' % (string(model), b",".join(map(float32s, found.vectors)))]
    counts = {
        "total_duration": found.total_ns,
        "load_duration": found.load_ns,
        "prompt_eval_count": found.prompt_tokens,
    }
    fields += [f',"{name}":{count}'.encode() for name, count in counts.items() if count]
    return b"".join((*fields, b"}"))


__all__ = ("check", "embedded", "embedding", "loaded")

"""Vectors as base64 of little-endian float32, which both SDKs ask for, or as numbers."""

from __future__ import annotations

import sys
from array import array
from base64 import b64encode

from hyperllama.embedding import Embeddings
from hyperllama_openai.encode import sse
from hyperllama_openai.wire import embeddings as wire


def embeddings(found: Embeddings, *, model: str, base64: bool) -> bytes:
    return sse.JSON.encode(
        wire.EmbeddingList(
            data=[
                wire.Embedding(index=index, embedding=b64encode(vector).decode() if base64 else floats(vector))
                for index, vector in enumerate(found.vectors)
            ],
            model=model,
            usage=wire.EmbeddingUsage(prompt_tokens=found.prompt_tokens, total_tokens=found.prompt_tokens),
        )
    )


def floats(vector: bytes) -> list[float]:
    numbers = array("f", vector)
    if sys.byteorder == "big":
        numbers.byteswap()
    return numbers.tolist()


__all__ = ("embeddings", "floats")

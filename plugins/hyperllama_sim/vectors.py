"""Vectors without meaning, evenly spread and the same for the same text."""

from __future__ import annotations

import asyncio
import hashlib
import math
import struct

from hyperllama.embedding import EmbeddingRequest, Embeddings
from hyperllama.errors import ContextTooLong, InvalidRequest, UnsupportedFeature
from hyperllama.models import ModelInfo
from hyperllama_sim import tokens
from hyperllama_sim.settings import SimOptions
from hyperllama_sim.threads import TokenizerThread

_INPUT = 64  # characters that an input costs beside its text


class Embedder:
    """The vectors of one model, at its pace, one call after another."""

    def __init__(self, info: ModelInfo, options: SimOptions, tokenizer: TokenizerThread) -> None:
        self._info = info
        self._options = options
        self._tokenizer = tokenizer
        self._turn = asyncio.Lock()

    async def embed(self, request: EmbeddingRequest) -> Embeddings:
        """Return the vectors of a request. Raise UnsupportedFeature, InvalidRequest or ContextTooLong."""
        options, length = self._options, self._options.embedding
        if not length:
            raise UnsupportedFeature(f"model {self._info.name!r} makes no embeddings", param="model")
        if request.dimensions is not None and not 0 < request.dimensions <= length:
            raise InvalidRequest(f"dimensions must be 1 to {length}", param="dimensions")
        size = sum(map(len, request.inputs)) + _INPUT * len(request.inputs)
        found, count = await self._tokenizer.run(size, lambda: texts(request, self._info.context_length))
        if cost := options.embed_ms + options.embed_input_ms * len(found):
            async with self._turn:
                await asyncio.sleep(cost / 1000)

        def vectors() -> tuple[bytes, ...]:
            return tuple(vector(text, length, keep=request.dimensions, normalize=request.normalize) for text in found)

        return Embeddings(await self._tokenizer.run(size, vectors), count)


def vector(text: str, dimensions: int, *, keep: int | None = None, normalize: bool = True) -> bytes:
    """Return little-endian float32, the first ``keep`` of ``dimensions``. A raw vector has a length near 3."""
    raw = hashlib.shake_256(text.encode("utf-8", "surrogatepass")).digest(2 * dimensions)
    values = [number / 32768 for number in struct.unpack(f"<{dimensions}h", raw)][:keep]
    length = math.sqrt(sum(value * value for value in values)) or 1.0
    scale = (1.0 if normalize else 3.0) / length
    return struct.pack(f"<{len(values)}f", *(value * scale for value in values))


def texts(request: EmbeddingRequest, context: int) -> tuple[list[str], int]:
    """Return the texts to embed, cut where allowed, and their tokens. Raise ContextTooLong or InvalidRequest."""
    found, total = [], 0
    for position, item in enumerate(request.inputs):
        pieces = tokens.pieces(item) if isinstance(item, str) else [_decode(number) for number in item]
        if len(pieces) > context:
            if not request.truncate:
                raise ContextTooLong(
                    f"input {position} has {len(pieces)} tokens and the context holds {context}", param="input"
                )
            pieces = pieces[:context]
        total += len(pieces)
        found.append("".join(pieces))
    return found, total


def _decode(number: int) -> str:
    try:
        return tokens.decode((number,))
    except ValueError as error:
        raise InvalidRequest(str(error), param="input") from error


__all__ = ("Embedder", "texts", "vector")

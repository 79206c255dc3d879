"""Embedding, from texts to vectors."""

from __future__ import annotations

import msgspec


class EmbeddingRequest(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A request for one vector per input, in order: texts, or token ids of the model's own tokenizer.

    ``truncate``: cut an input that is too long instead of refusing it.
    ``dimensions``: keep this many, the first, and normalise again; None: all.
    """

    model: str
    inputs: tuple[str | tuple[int, ...], ...]
    normalize: bool = True
    truncate: bool = True
    dimensions: int | None = None
    keep_alive: float | None = None  # seconds, inf: for ever; None: leave as it is


class Embeddings(msgspec.Struct, frozen=True, array_like=True):
    """Vectors: little-endian float32 bytes, all of one length.

    ``input_tokens``: prompt tokens of each input; empty: the engine only knows their sum.
    ``cut``: whether each input was too long and lost its end; empty: none did.
    """

    vectors: tuple[bytes, ...]
    prompt_tokens: int
    load_ns: int = 0
    total_ns: int = 0
    input_tokens: tuple[int, ...] = ()
    cut: tuple[bool, ...] = ()


__all__ = ("EmbeddingRequest", "Embeddings")

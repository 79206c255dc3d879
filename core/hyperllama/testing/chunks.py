"""Texts as an engine would stream them, for tests of transforms and encoders."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from hyperllama.generation import Completion, FinishReason, TokenChunk, TokenLogprob, Usage
from hyperllama.spi import Transform
from hyperllama.stream import Collector


def cut(text: str, cuts: Sequence[int]) -> list[str]:
    """Return ``text`` cut at ``cuts``, in any order; a place beyond the end counts on from the beginning."""
    places = sorted({place % (len(text) + 1) for place in cuts} | {0, len(text)})
    return [text[begin:end] for begin, end in pairwise(places)] or [""]


def chunks(
    pieces: Sequence[str], *, finish_reason: FinishReason = "stop", prompt_tokens: int = 7, logprobs: bool = False
) -> list[TokenChunk]:
    """Return a chunk of one token for each piece; usage on the first and the last, as engines send it."""
    last = len(pieces) - 1
    made = []
    for position, piece in enumerate(pieces):
        usage = (
            Usage(prompt_tokens, len(pieces)) if position == last else Usage(prompt_tokens) if not position else None
        )
        made.append(
            TokenChunk(
                text=piece,
                logprobs=(TokenLogprob(piece, -0.5, position, piece.encode()),) if logprobs else (),
                usage=usage,
                finish_reason=finish_reason if position == last else None,
            )
        )
    return made


def run(transform: Transform | None, chunks: Sequence[TokenChunk]) -> Completion:
    """Return the output of ``transform``, read as the pipeline does: up to the first chunk with a finish reason."""
    collector = Collector()
    for chunk in chunks:
        out = chunk if transform is None else transform.feed(chunk)
        collector.add([out])
        if out.finish_reason is not None:
            break
    return collector.result()


__all__ = ("chunks", "cut", "run")

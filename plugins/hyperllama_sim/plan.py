"""An answer as chunks: one token each, limits kept, figures on the first and the last."""

from __future__ import annotations

import hashlib
import math
import secrets
from collections.abc import Iterator

import msgspec
from msgspec.structs import replace

from hyperllama.generation import (
    FinishReason,
    GenerationRequest,
    TokenChunk,
    TokenLogprob,
    ToolCallDelta,
    TopLogprob,
    Usage,
)
from hyperllama_sim.answer import Answer, answer, lengthened
from hyperllama_sim.prompts import count, ids, render
from hyperllama_sim.settings import SimOptions
from hyperllama_sim.tokens import pieces, token_id
from hyperllama_sim.words import seed_of


class Plan(msgspec.Struct, frozen=True):
    """A request that has passed every check. ``chunks`` are made as they are read."""

    prompt: str
    prompt_tokens: int
    chunks: Iterator[TokenChunk]


def plan(request: GenerationRequest, options: SimOptions, context: int, system: str | None = None) -> Plan:
    """Return the plan of a request. Raise ContextTooLong, InvalidRequest or UnsupportedFeature."""
    if request.context_length:
        context = min(context, request.context_length)
    if request.rendering is not None:
        system = request.rendering.system
    prompt = render(request.input, system if request.system is None else request.system)
    prompt_tokens = count(request.input, prompt, context, reserved=request.reserved)
    said = answer(request, prompt, options)
    if request.sampling.ignore_eos or request.sampling.min_tokens:
        said = lengthened(said, prompt, None if request.sampling.ignore_eos else request.sampling.min_tokens)
    return Plan(prompt, prompt_tokens, _chunks(request, options, said, prompt, prompt_tokens, context - prompt_tokens))


def _chunks(
    request: GenerationRequest, options: SimOptions, said: Answer, prompt: str, prompt_tokens: int, room: int
) -> Iterator[TokenChunk]:
    """Yield ``room`` tokens at most. The finish reason is on the last token's chunk, by length too."""
    sampling = request.sampling
    limit = options.max_tokens if sampling.max_tokens is None else sampling.max_tokens
    room = room if limit is None else min(room, limit)
    ends = frozenset(sampling.stop_token_ids)
    detailed = request.return_token_ids or sampling.logprobs is not None or bool(ends)
    steps = _steps(said)
    held: TokenChunk | None = None
    produced = 0
    before = _of_prompt(request, prompt)
    reason: FinishReason = "tool_calls" if said.calls else "stop"
    for piece, chunk in steps:
        if produced >= room:
            reason = "length"
            break
        if held is not None:
            yield held if produced > 1 else replace(held, usage=Usage(prompt_tokens), prompt_logprobs=before)
        produced += 1
        held = chunk if not detailed else _detailed(chunk, piece, request)
        if ends and token_id(piece) in ends:
            reason, held = "stop", replace(held, text="", reasoning="", tool_calls=(), logprobs=())
            break
    held = held or TokenChunk(tokens=0)
    yield replace(
        held,
        finish_reason=reason,
        prompt_logprobs=before if produced <= 1 else (),
        usage=Usage(prompt_tokens, produced, 0, min(produced, len(said.reasoning))),
        prompt_token_ids=ids(request.input, prompt) if request.return_token_ids else (),
    )


def _of_prompt(request: GenerationRequest, prompt: str) -> tuple[TokenLogprob, ...]:
    asked = request.sampling.logprobs
    if not request.sampling.prompt_logprobs or asked is None:
        return ()
    first, *others = (_logprob(piece, token_id(piece), asked) for piece in pieces(prompt))
    return (replace(first, logprob=math.nan, top=()), *others)


def _steps(said: Answer) -> Iterator[tuple[str, TokenChunk]]:
    for piece in said.reasoning:
        yield piece, TokenChunk(reasoning=piece)
    for piece in said.text:
        yield piece, TokenChunk(text=piece)
    for index, (name, arguments) in enumerate(said.calls):
        call = f"call_{secrets.token_hex(12)}"
        yield name[:1] or " ", TokenChunk(tool_calls=(ToolCallDelta(index, "", call, name),))
        for piece in arguments:
            yield piece, TokenChunk(tool_calls=(ToolCallDelta(index, piece),))


def _detailed(chunk: TokenChunk, piece: str, request: GenerationRequest) -> TokenChunk:
    number = token_id(piece)
    asked = request.sampling.logprobs
    return replace(
        chunk,
        token_ids=(number,) if request.return_token_ids else (),
        logprobs=() if asked is None or not chunk.text else (_logprob(piece, number, asked),),
    )


def _logprob(piece: str, number: int, top: int) -> TokenLogprob:
    """Return an invented log-probability, the same for the same token; the chosen one is always the likeliest."""
    value = -(hashlib.blake2b(piece.encode(), digest_size=1).digest()[0] + 1) / 512
    likeliest = [TopLogprob(piece, value, number, piece.encode())]
    for rank in range(1, top):
        other = f" {seed_of(piece, str(rank)).hex().translate(_TO_LETTERS)[:4]}"
        likeliest.append(TopLogprob(other, value - rank, token_id(other), other.encode()))
    return TokenLogprob(piece, value, number, piece.encode(), tuple(likeliest[:top]))


_TO_LETTERS = str.maketrans("0123456789", "ghijklmnop")

__all__ = ("Plan", "plan")

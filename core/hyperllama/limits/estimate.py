"""Estimates of the tokens that a request will take, made without a tokenizer. Real usage corrects them later."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from hyperllama.embedding import EmbeddingRequest
from hyperllama.generation import GenerationRequest
from hyperllama.messages import Chat, Image, Prompt, PromptTokens, Text
from hyperllama.spi import AuxiliaryWork, Call

MESSAGE = 4  # a chat template's own tokens around one message
IMAGE = 256


def prompt_tokens(call: Call) -> int:
    """Return the prompt tokens of the call, at least 1, or 0 for auxiliary work; estimated once and kept on it."""
    if not call.estimate and not isinstance(call.request, AuxiliaryWork):
        estimate = max(_prompt(call.request), 1)
        context = call.info.context_length * _inputs(call.request)
        call.estimate = min(estimate, context) if context else estimate  # longer ones are refused or cut
    return call.estimate


def call_tokens(call: Call, *, assumed: int, bounds: Iterable[tuple[int, bool]] = ()) -> tuple[int, int]:
    """Return the tokens of the prompt and of the longest answer that the client asked for.

    ``assumed`` is the answer's length where the client did not bound it. It is lowered so that it fits every bound of
    ``bounds`` (tokens, and whether the prompt counts among them): an assumption must not make a request impossible.
    """
    prompt = prompt_tokens(call)
    for bound, with_prompt in bounds:
        assumed = min(assumed, max(bound - (prompt if with_prompt else 0), 1))
    return prompt, _answer(call, assumed)


def input_tokens(text: str | tuple[int, ...]) -> int:
    """Return the tokens of one embedding input, at least 1."""
    return max(_text(text) if isinstance(text, str) else len(text), 1)


def _answer(call: Call, assumed: int) -> int:
    if not isinstance(call.request, GenerationRequest):
        return 0
    limit = call.request.sampling.max_tokens
    return max(min(assumed if limit is None else limit, call.info.context_length or assumed), 0)


def _inputs(request: GenerationRequest | EmbeddingRequest) -> int:
    return len(request.inputs) if isinstance(request, EmbeddingRequest) else 1


def _prompt(request: GenerationRequest | EmbeddingRequest) -> int:
    if isinstance(request, EmbeddingRequest):
        return sum(input_tokens(text) for text in request.inputs)
    total = _text(request.system) if request.system else 0
    for tool in request.tools:
        total += len(msgspec.json.encode(tool)) // 4
    match request.input:
        case Chat(messages=messages):
            for message in messages:
                total += MESSAGE
                for part in message.parts:
                    match part:
                        case Text(text=text):
                            total += _text(text)
                        case Image():
                            total += IMAGE
                for call in message.tool_calls:
                    total += MESSAGE + _text(call.arguments)
        case Prompt(text=text, suffix=suffix):
            total += _text(text) + (_text(suffix) if suffix else 0)
        case PromptTokens(ids=ids):
            total += len(ids)
    return total


def _text(text: str) -> int:
    # Four characters of English make a token; other scripts take about one for each three bytes.
    return (len(text) + 3) // 4 if text.isascii() else (len(text.encode("utf-8", "surrogatepass")) + 2) // 3


__all__ = ("call_tokens", "input_tokens", "prompt_tokens")

"""How many tokens a request will take, before any tokenizer has seen it. A guess that real usage corrects."""

from __future__ import annotations

import msgspec

from hyperllama.embedding import EmbeddingRequest
from hyperllama.generation import GenerationRequest
from hyperllama.messages import Chat, Image, Prompt, PromptTokens, Text
from hyperllama.models import ModelInfo
from hyperllama.spi import Call

MESSAGE = 4  # a chat template's own tokens around one message
IMAGE = 256


def prompt_tokens(call: Call) -> int:
    """Prompt tokens of the call, at least 1; guessed once and kept on it."""
    if not call.estimate:
        guess = max(_prompt(call.request), 1)
        context = call.info.context_length * _inputs(call.request)
        call.estimate = min(guess, context) if context else guess  # longer ones are refused or cut
    return call.estimate


def input_tokens(text: str | tuple[int, ...]) -> int:
    """Tokens of one embedding input, at least 1."""
    return max(_text(text) if isinstance(text, str) else len(text), 1)


def answer_tokens(request: GenerationRequest | EmbeddingRequest, info: ModelInfo, *, assumed: int) -> int:
    """The longest answer the client asked for, or ``assumed`` when it did not say; never more than the context."""
    if isinstance(request, EmbeddingRequest):
        return 0
    asked = request.sampling.max_tokens
    return max(min(assumed if asked is None else asked, info.context_length or assumed), 0)


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


__all__ = ("answer_tokens", "input_tokens", "prompt_tokens")

"""Texts or token ids to be made into vectors."""

from __future__ import annotations

import hyperllama.embedding as core
from hyperllama.errors import UnsupportedFeature
from hyperllama.messages import Prompt, PromptTokens
from hyperllama.models import ModelInfo
from hyperllama_openai.decode import lengths
from hyperllama_openai.decode.sampling import keep_alive
from hyperllama_openai.errors import InvalidType, InvalidValue
from hyperllama_openai.settings import Settings
from hyperllama_openai.wire.embeddings import EmbeddingRequest


def embeddings(request: EmbeddingRequest, info: ModelInfo, settings: Settings) -> core.EmbeddingRequest:
    """Return the request. An input beyond the model's limit is cut with ``truncate_prompt_tokens``, else refused."""
    if request.encoding_format not in (None, "float", "base64"):
        raise InvalidValue(
            "Invalid value for 'encoding_format': expected 'float' or 'base64'.", param="encoding_format"
        )
    cut = request.truncate_prompt_tokens
    if cut is not None and 0 <= cut < info.context_length:
        raise UnsupportedFeature(
            "'truncate_prompt_tokens' can only be -1: inputs are cut to what the model takes, not to less.",
            param="truncate_prompt_tokens",
        )
    inputs = _inputs(request, settings)
    if cut is None:
        for each in inputs:
            lengths.check(Prompt(each) if isinstance(each, str) else PromptTokens(each), info)
    return core.EmbeddingRequest(
        model=request.model,
        inputs=inputs,
        normalize=request.normalize is not False,
        truncate=cut is not None,
        dimensions=request.dimensions,
        keep_alive=keep_alive(request.keep_alive),
    )


def _inputs(request: EmbeddingRequest, settings: Settings) -> tuple[str | tuple[int, ...], ...]:
    found = request.input
    if not found:
        raise InvalidValue("'input' must not be empty.", param="input")
    if isinstance(found, str):
        return (found,)
    ids = tuple(item for item in found if isinstance(item, int))
    if ids:
        if len(ids) != len(found):
            raise InvalidType("'input' mixes token ids with other values.", param="input")
        return (ids,)
    if len(found) > settings.max_inputs:
        raise InvalidValue(f"'input' takes at most {settings.max_inputs} items.", param="input")
    return tuple(_input(item, index) for index, item in enumerate(found))


def _input(item: str | int | list[int], index: int) -> str | tuple[int, ...]:
    if isinstance(item, int) or not item:
        raise InvalidValue("An input must not be empty.", param=f"input[{index}]")
    return item if isinstance(item, str) else tuple(item)


__all__ = ("embeddings",)

"""POST /v1/completions."""

from __future__ import annotations

from typing import Annotated, ClassVar

import msgspec
from msgspec import UNSET, Meta, UnsetType

from hyperllama.web import Countable
from hyperllama_openai.wire import counted, limits
from hyperllama_openai.wire.shared import SamplingFields, Usage


class CompletionRequest(SamplingFields, frozen=True, kw_only=True):
    countable: ClassVar[Countable] = {**counted.SAMPLING, "prompt": "inputs"}
    prompt: str | list[str | limits.TokenId | list[limits.TokenId]] | None = None
    suffix: str | None = None
    max_tokens: limits.TokenCountOrZero | None = None  # absent: 16
    best_of: Annotated[int, Meta(ge=1, le=20)] | None = None
    echo: bool | None = None
    logprobs: limits.TopLogprobs | None = None


class Logprobs(msgspec.Struct, frozen=True):
    tokens: list[str]
    token_logprobs: list[float | None]  # null: nothing comes before the token
    top_logprobs: list[dict[str, float] | None] | None
    text_offset: list[int]


class Choice(msgspec.Struct, frozen=True, kw_only=True):
    index: int
    text: str
    logprobs: Logprobs | None = None
    finish_reason: str | None = None
    stop_reason: str | UnsetType = UNSET
    token_ids: list[int] | UnsetType = UNSET
    prompt_token_ids: list[int] | UnsetType = UNSET


class Completion(msgspec.Struct, frozen=True, kw_only=True):
    id: str
    object: str
    created: int
    model: str
    choices: list[Choice]
    usage: Usage
    system_fingerprint: str | None = None


__all__ = ("Choice", "Completion", "CompletionRequest", "Logprobs")

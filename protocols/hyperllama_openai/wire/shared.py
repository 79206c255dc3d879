"""Request fields that chat completions and completions have in common, OpenAI's and other servers'."""

from __future__ import annotations

from typing import Any

import msgspec

from hyperllama_openai.wire import limits


class StreamOptions(msgspec.Struct, frozen=True, kw_only=True):
    include_usage: bool | None = None
    include_obfuscation: bool | None = None  # accepted, never done
    continuous_usage_stats: bool | None = None  # vLLM's; accepted, never done


class JsonSchemaFormat(msgspec.Struct, frozen=True, kw_only=True):
    name: str | None = None
    description: str | None = None
    schema: dict[str, Any] | bool | None = None
    strict: bool | None = None


class ResponseFormat(msgspec.Struct, frozen=True, kw_only=True):
    type: str
    json_schema: JsonSchemaFormat | None = None
    schema: dict[str, Any] | bool | None = None  # Together's and llama.cpp's place for it
    strict: bool | None = None  # beside that


class StructuredOutputs(msgspec.Struct, frozen=True, kw_only=True):
    """vLLM's ``structured_outputs``."""

    json: str | dict[str, Any] | None = None
    json_object: bool | None = None
    regex: str | None = None
    choice: list[str] | None = None
    grammar: str | None = None
    structural_tag: Any = None


class SamplingFields(msgspec.Struct, frozen=True, kw_only=True):
    """Base of both requests."""

    model: str
    n: limits.Choices | None = None
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    temperature: limits.Temperature | None = None
    top_p: limits.Probability | None = None
    frequency_penalty: limits.Penalty | None = None
    presence_penalty: limits.Penalty | None = None
    logit_bias: dict[str, limits.Bias] | None = None
    seed: limits.Seed | None = None
    stop: str | list[str] | None = None
    user: str | None = None
    # Ours and other servers': sampling
    top_k: limits.TopK | None = None
    min_p: limits.Probability | None = None
    repetition_penalty: limits.Repetition | None = None
    repeat_penalty: limits.Repetition | None = None  # llama.cpp's name for it
    min_tokens: limits.TokenCountOrZero | None = None
    stop_token_ids: list[limits.TokenId] | None = None
    ignore_eos: bool | None = None
    include_stop_str_in_output: bool | None = None
    # Ours and other servers': output format
    response_format: ResponseFormat | None = None
    structured_outputs: StructuredOutputs | None = None
    guided_json: str | dict[str, Any] | None = None
    guided_regex: str | None = None
    guided_choice: list[str] | None = None
    guided_grammar: str | None = None
    regex: str | None = None  # SGLang
    ebnf: str | None = None  # SGLang
    json_schema: str | dict[str, Any] | None = None  # SGLang, llama.cpp
    grammar: str | None = None  # llama.cpp
    # Ours and other servers': the rest
    keep_alive: float | str | None = None  # Ollama
    return_token_ids: bool | None = None  # vLLM
    # Chat completions that are kept
    metadata: Any = None
    store: bool | None = None
    # Accepted and without effect
    service_tier: str | None = None
    safety_identifier: str | None = None
    prompt_cache_key: str | None = None
    prompt_cache_retention: str | None = None
    prompt_cache_options: Any = None
    moderation: Any = None
    guided_decoding_backend: str | None = None
    skip_special_tokens: bool | None = None
    spaces_between_special_tokens: bool | None = None
    add_special_tokens: bool | None = None
    priority: int | None = None
    request_id: str | None = None
    cache_salt: str | None = None
    session_id: str | None = None
    options: Any = None
    # Known, and refused: ignoring them would change what comes back
    prompt_logprobs: Any = None
    truncate_prompt_tokens: Any = None
    bad_words: Any = None
    allowed_token_ids: Any = None


class PromptTokensDetails(msgspec.Struct, frozen=True, kw_only=True):
    cached_tokens: int = 0
    audio_tokens: int = 0


class CompletionTokensDetails(msgspec.Struct, frozen=True, kw_only=True):
    reasoning_tokens: int = 0
    audio_tokens: int = 0
    accepted_prediction_tokens: int = 0
    rejected_prediction_tokens: int = 0


class Usage(msgspec.Struct, frozen=True, kw_only=True):
    prompt_tokens: int
    completion_tokens: int
    total_tokens: int
    prompt_tokens_details: PromptTokensDetails
    completion_tokens_details: CompletionTokensDetails


__all__ = (
    "CompletionTokensDetails",
    "JsonSchemaFormat",
    "PromptTokensDetails",
    "ResponseFormat",
    "SamplingFields",
    "StreamOptions",
    "StructuredOutputs",
    "Usage",
)

"""GET /v1/models, for Anthropic's clients too, and the tokenizer's two routes, which are vLLM's."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import msgspec
from msgspec import UNSET, UnsetType

from hyperllama.web import Countable
from hyperllama_openai.wire import counted, limits
from hyperllama_openai.wire.chat import Message, Scalar, Tool


class Model(msgspec.Struct, frozen=True, kw_only=True):
    id: str
    created: int
    owned_by: str
    root: str
    parent: str | None
    max_model_len: int
    object: str = "model"
    # The same path in Anthropic's dialect
    type: str = "model"
    display_name: str
    created_at: str


class ModelList(msgspec.Struct, frozen=True, kw_only=True):
    data: list[Model]
    object: str = "list"
    # The same path in Anthropic's dialect
    has_more: bool = False
    first_id: str | None
    last_id: str | None


class ModelDeleted(msgspec.Struct, frozen=True, kw_only=True):
    id: str
    object: str = "model"
    deleted: bool = True


class TokenizeRequest(msgspec.Struct, frozen=True, kw_only=True):
    countable: ClassVar[Countable] = counted.MESSAGES
    model: str | None = None  # None: the only one there is, as for servers of one model
    prompt: str | None = None
    content: str | None = None  # llama.cpp's name for it
    messages: list[Message] | None = None
    tools: list[Tool] | None = None
    add_special_tokens: bool | None = None
    add_generation_prompt: bool | None = None
    continue_final_message: bool | None = None
    chat_template_kwargs: dict[str, Scalar] | None = None
    return_token_strs: bool | None = None


class Tokens(msgspec.Struct, frozen=True, kw_only=True):
    count: int
    max_model_len: int
    tokens: Sequence[int]
    token_strs: Sequence[str] | UnsetType = UNSET


class DetokenizeRequest(msgspec.Struct, frozen=True, kw_only=True):
    model: str | None = None  # None: the only one there is
    tokens: list[limits.TokenId]


class TokenizerQuery(msgspec.Struct, frozen=True, kw_only=True):
    model: str | None = None  # None: the only one there is


class TokenizerInfo(msgspec.Struct, frozen=True, kw_only=True):
    """The members of ``tokenizer_config.json`` that vLLM returns; null: the model has none, or its files do not say."""

    model: str
    model_max_length: int
    vocab_size: int
    bos_token: str | None
    eos_token: str | None
    pad_token: str | None
    chat_template: str | None


class Detokenized(msgspec.Struct, frozen=True, kw_only=True):
    prompt: str
    content: str


__all__ = ("DetokenizeRequest", "Detokenized", "Model", "ModelDeleted", "ModelList", "TokenizeRequest", "Tokens")

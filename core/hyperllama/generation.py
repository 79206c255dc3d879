"""A generation, from the request to the tokens of the answer."""

from __future__ import annotations

from typing import Any, Literal, TypeAlias

import msgspec

from hyperllama.messages import Input, ToolCall

Bytes: TypeAlias = bytes  # beneath a field of that name, msgspec would take the field for the type
FinishReason: TypeAlias = Literal["stop", "length", "tool_calls", "content_filter", "cancelled"]
Effort: TypeAlias = Literal["low", "medium", "high", "max"]


class Sampling(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Sampling settings; None: the model's own default. Protocols check ranges, engines what their model can do."""

    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None  # 0 or -1: the whole vocabulary
    min_p: float | None = None
    seed: int | None = None
    repetition_penalty: float | None = None
    presence_penalty: float | None = None
    frequency_penalty: float | None = None
    max_tokens: int | None = None  # new tokens; None: until the context is full
    min_tokens: int | None = None
    stop: tuple[str, ...] | None = None  # matched on text by the core, never part of the answer; None: the model's own
    stop_token_ids: tuple[int, ...] = ()
    ignore_eos: bool = False
    logit_bias: dict[int, float] = {}
    logprobs: int | None = None  # None: none; 0: of the chosen token; k: and of the k likeliest
    prompt_logprobs: bool = False  # the same of every token of the prompt, on the first chunk


class ToolSpec(msgspec.Struct, frozen=True):
    name: str
    description: str = ""
    parameters: dict[str, Any] = {}
    strict: bool = False  # a forced call keeps to all of ``parameters``, or is refused
    place: str = ""  # in the caller's request ("tools[2]"), for sentences; empty: as in the list


class NamedTool(msgspec.Struct, frozen=True, tag="named"):
    name: str


class AnyTool(msgspec.Struct, frozen=True, tag="required"):
    """The model must call at least one tool."""


class NoTool(msgspec.Struct, frozen=True, tag="none"):
    """The model sees the tools and must not call one."""


ToolChoice: TypeAlias = NamedTool | AnyTool | NoTool


class AnyJson(msgspec.Struct, frozen=True, tag="json"):
    """Any JSON object."""


class JsonSchema(msgspec.Struct, frozen=True, tag="json_schema"):
    """JSON that fits a schema. Without ``strict`` it need not fit what no engine can enforce."""

    schema: dict[str, Any]
    strict: bool = False


class Regex(msgspec.Struct, frozen=True, tag="regex"):
    pattern: str


class Choice(msgspec.Struct, frozen=True, tag="choice"):
    options: tuple[str, ...]


class Grammar(msgspec.Struct, frozen=True, tag="grammar"):
    """An EBNF grammar in the engine's own notation."""

    text: str


OutputFormat: TypeAlias = AnyJson | JsonSchema | Regex | Choice | Grammar


class Rendering(msgspec.Struct, frozen=True, kw_only=True):
    """A model's own words around what its weights are sent. Models that share a loaded process differ by it."""

    system: str | None = None  # of conversations without a system message
    template: str = ""  # Jinja; empty: none
    parameters: dict[str, Any] = {}  # default sampling, by the names of a Modelfile


class GenerationRequest(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A request to generate tokens. Independent of HTTP, protocols and callers."""

    model: str
    input: Input
    sampling: Sampling = Sampling()
    tools: tuple[ToolSpec, ...] = ()
    tool_choice: ToolChoice | None = None  # None: the model decides
    parallel_tool_calls: bool = True
    output: OutputFormat | None = None
    reasoning: bool | Effort | None = None  # None: the model's default
    keep_alive: float | None = None  # seconds, inf: for ever; None: leave as it is
    system: str | None = None  # replaces the model's configured system prompt; None: that one
    template: str | None = None  # a Jinja chat template for this request only; engines may refuse it
    context_length: int | None = None  # the caller's num_ctx; None: the model's
    reserved: int = 0  # tokens that the prompt must leave for an answer, or it is too long
    return_token_ids: bool = False  # chunks carry token ids, the last one those of the prompt
    tenant: str = ""  # set by the core: nothing of one tenant's prompts is found, or timed, by another; "": no tenant's
    rendering: Rendering | None = None  # set by the core, of a model that shares a loaded one; None: that one's own
    truncated: int = 0  # messages that a protocol cut off to make the prompt fit; logged and counted


class Usage(msgspec.Struct, frozen=True, gc=False, array_like=True):
    prompt_tokens: int = 0
    completion_tokens: int = 0
    cached_tokens: int = 0  # part of prompt_tokens
    reasoning_tokens: int = 0  # part of completion_tokens

    @property
    def total_tokens(self) -> int:
        return self.prompt_tokens + self.completion_tokens


class Timings(msgspec.Struct, frozen=True, gc=False, array_like=True):
    """Durations of a generation, in nanoseconds. ``total`` is from the decoded request to the last chunk.

    ``load`` waited for the model to load, ``queue`` for a place in the batch,
    ``prompt`` from submission to the first token, ``generate`` from first to last token.
    """

    total: int = 0
    load: int = 0
    queue: int = 0
    prompt: int = 0
    generate: int = 0


class TopLogprob(msgspec.Struct, frozen=True, gc=False, array_like=True):
    token: str
    logprob: float
    token_id: int
    bytes: Bytes


class TokenLogprob(msgspec.Struct, frozen=True, gc=False, array_like=True):
    token: str
    logprob: float
    token_id: int
    bytes: Bytes  # the token's own bytes; ``token`` shows U+FFFD where they are no whole code point
    top: tuple[TopLogprob, ...] = ()


class ToolCallDelta(msgspec.Struct, frozen=True, gc=False, array_like=True):
    """A piece of a tool call. The first of an index alone has ``id`` and ``name``; arguments add up to JSON text."""

    index: int
    arguments: str = ""
    id: str | None = None
    name: str | None = None


class TokenChunk(msgspec.Struct, frozen=True, kw_only=True, gc=False, array_like=True):
    """The value that flows from engine to encoder: a piece of the answer.

    ``text`` never splits a code point and may be empty. ``finish_reason``, ``prompt_token_ids``
    and ``timings`` are set on the last chunk and only there; the pipeline adds ``timings``.
    ``usage`` is whole on the last chunk; an engine also sets it on the first, with the prompt's
    figures, so that an answer the core cuts short can still be counted. ``tokens`` counts the
    tokens this chunk stands for.
    """

    text: str = ""
    tokens: int = 1
    finish_reason: FinishReason | None = None
    usage: Usage | None = None
    reasoning: str = ""
    tool_calls: tuple[ToolCallDelta, ...] = ()
    logprobs: tuple[TokenLogprob, ...] = ()
    token_ids: tuple[int, ...] = ()
    prompt_token_ids: tuple[int, ...] = ()
    stop_match: str | None = None  # the stop string that ended it; None: something else did
    timings: Timings | None = None
    prompt_logprobs: tuple[TokenLogprob, ...] = ()  # the first token's is nan: nothing comes before it


class Completion(msgspec.Struct, frozen=True, kw_only=True):
    """A whole generation, for answers that are not streamed."""

    text: str
    reasoning: str
    tool_calls: tuple[ToolCall, ...]
    logprobs: tuple[TokenLogprob, ...]
    token_ids: tuple[int, ...]
    prompt_token_ids: tuple[int, ...]
    finish_reason: FinishReason
    usage: Usage
    timings: Timings
    stop_match: str | None
    prompt_logprobs: tuple[TokenLogprob, ...] = ()


__all__ = (
    "AnyJson",
    "AnyTool",
    "Choice",
    "Completion",
    "Effort",
    "FinishReason",
    "GenerationRequest",
    "Grammar",
    "JsonSchema",
    "NamedTool",
    "NoTool",
    "OutputFormat",
    "Regex",
    "Rendering",
    "Sampling",
    "Timings",
    "TokenChunk",
    "TokenLogprob",
    "ToolCallDelta",
    "ToolChoice",
    "ToolSpec",
    "TopLogprob",
    "Usage",
)

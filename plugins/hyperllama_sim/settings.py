"""``[models.<name>.options]`` of a model with ``engine = "sim"``."""

from __future__ import annotations

from typing import Any, Literal, TypeAlias

import msgspec

from hyperllama.errors import ConfigError
from hyperllama.models import Capability, ModelSpec

Placement: TypeAlias = Literal["process", "host"]
Batching: TypeAlias = Literal["continuous", "static"]
Hang: TypeAlias = Literal["engine", "process"]


class ScriptedCall(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A scripted tool call. ``arguments`` given as text is sent unchanged, even if it is not JSON."""

    name: str
    arguments: dict[str, Any] | str = {}


class Scripted(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A fixed answer, for prompts that contain ``when``; with ``tool_calls``, only for requests that offer tools."""

    when: str = ""
    text: str = ""
    reasoning: str = ""
    tool_calls: tuple[ScriptedCall, ...] = ()


class SimOptions(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The behaviour of the model. By default it answers at once, in 32 tokens, in the gateway's process."""

    placement: Placement = "process"  # in the gateway's process, or in one of its own behind the host protocol

    batching: Batching = "continuous"  # or whole batches: nothing joins one that runs; in the gateway's process only

    # pace
    tokens_per_second: float = 0.0  # of each stream; 0: one token per turn of the event loop
    ttft_ms: float = 0.0  # from a place in the batch to the first token
    prefill_tokens_per_second: float = 0.0  # 0: prompts cost nothing
    load_seconds: float = 0.0
    embed_ms: float = 0.0  # one call, however many inputs; calls run one after another
    embed_input_ms: float = 0.0  # and each input of it

    # what it says
    answer_tokens: int = 32  # length of an answer that nothing cuts
    max_tokens: int | None = None  # where the request sets no limit; None: until the context is full
    text: str | None = None  # the answer to everything; None: words from the prompt's hash
    echo: bool = False  # the answer is the last user message
    script: tuple[Scripted, ...] = ()  # the first that matches is the answer
    thinking: bool = False  # reasons where the request does not say
    reasoning_tokens: int = 12

    # what it is
    context_length: int = 4096  # where the model's table has no max_length
    capabilities: tuple[Capability, ...] | None = None  # None: all but vision; embedding where ``embedding`` is set
    embedding: int = 0  # dimensions of its vectors; 0: makes none
    memory_mb: int = 1  # what it says it takes; in a host, what it takes

    # faults: token k is the one that does not come, counted from 0
    fault_prompt: str = ""  # faults at a token strike requests whose prompt contains this; empty: all
    crash_at_token: int | None = None  # the model dies and every stream with it
    hang_at_token: int | None = None  # the model says nothing any more, to anyone
    hang: Hang = "engine"  # its steps stop, or its whole process does; the latter in a host only
    error_at_token: int | None = None  # this request alone fails
    bug_at_token: int | None = None  # the same, with an exception that is no GatewayError
    poison: str | None = None  # a prompt that contains this kills the model before its first token
    fail_load: str | None = None  # loading fails, with this as the reason
    fail_loads: int = 0  # only so many times; 0: always
    crash_load: bool = False  # the process dies while it loads; in a host only
    stderr_bytes: int = 0  # written to stderr before the first token of each request; in a host only
    stderr_line: int = 1024 * 1024  # in lines of so many bytes

    # when a host is taken for hung
    silence: float = 8.0  # seconds without a sign of life
    longest_step: float = 300.0  # seconds in which no request moves


def options_of(spec: ModelSpec) -> SimOptions:
    """Return the checked options of a model. Raise a ConfigError that names the model's table."""
    where = f"models.{spec.name}.options"
    try:
        options = msgspec.convert(spec.options, SimOptions)
    except msgspec.ValidationError as error:
        raise ConfigError(f"{where}: {error}") from error
    for key in ("tokens_per_second", "ttft_ms", "prefill_tokens_per_second", "load_seconds", "answer_tokens"):
        if getattr(options, key) < 0:
            raise ConfigError(f"{where}.{key}: Must not be negative.")
    if options.placement == "process" and (options.stderr_bytes or options.crash_load or options.hang == "process"):
        raise ConfigError(f'{where}: stderr_bytes, crash_load and hang = "process" need placement = "host".')
    if options.placement == "host" and options.batching == "static":
        raise ConfigError(f'{where}: batching = "static" needs placement = "process".')
    if options.stderr_line < 1:
        raise ConfigError(f"{where}.stderr_line: Must be at least 1.")
    return options


__all__ = ("Batching", "Hang", "Placement", "Scripted", "ScriptedCall", "SimOptions", "options_of")

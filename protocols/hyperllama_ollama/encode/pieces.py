"""Parts that streamed lines and whole answers share: metrics, log probabilities, tool calls, reasons to stop."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from secrets import choice
from typing import Any

import msgspec
from msgspec import UNSET, UnsetType

from hyperllama.errors import EngineFailed
from hyperllama.generation import FinishReason, Timings, TokenLogprob, ToolCallDelta, TopLogprob, Usage
from hyperllama_ollama.encode import replies

_ID = "abcdefghijklmnopqrstuvwxyz0123456789"
_LEAST = -3.4028234663852886e38  # JSON has no infinity

NewId = Callable[[], str]


def new_id() -> str:
    return "call_" + "".join(choice(_ID) for _ in range(8))


def reason(finish: FinishReason) -> str | UnsetType:
    """Return ``stop`` or ``length``, the only reasons of Ollama's; UNSET for a cancelled answer."""
    if finish == "cancelled":
        return UNSET
    return "length" if finish == "length" else "stop"


def metrics(usage: Usage, timings: Timings) -> dict[str, Any]:
    """Return the metrics of a :class:`replies.Generated` or :class:`replies.Chatted`."""
    return {
        "total_duration": timings.total or UNSET,
        "load_duration": timings.load or UNSET,
        "prompt_eval_count": usage.prompt_tokens or UNSET,
        "prompt_eval_cached_count": usage.cached_tokens,
        "prompt_eval_duration": timings.prompt or UNSET,
        "eval_count": usage.completion_tokens or UNSET,
        "eval_duration": timings.generate or UNSET,
    }


def logprobs(found: Sequence[TokenLogprob], top: int) -> list[replies.Logprob] | UnsetType:
    """Return log-probabilities, each with ``top`` alternatives; UNSET if there are none."""
    return [_logprob(item, top) for item in found] or UNSET


def tool_call(index: int, id: str, name: str, arguments: str, make_id: NewId = new_id) -> replies.ToolCall:
    """Return the call. Raise EngineFailed when the model wrote arguments that are no JSON object."""
    try:
        parsed = _object(arguments) if arguments.strip() else {}
    except (msgspec.DecodeError, RecursionError) as error:
        raise EngineFailed(f"the model called {name!r} with arguments that are no JSON object") from error
    return replies.ToolCall(id or make_id(), replies.Function(index, name, {k: _number(v) for k, v in parsed.items()}))


def is_cut(finish: FinishReason, stop_match: str | None) -> bool:
    """Return whether an answer ended before the model ended it, so that its last call may be half of one."""
    return stop_match is not None or finish not in ("stop", "tool_calls")


def is_complete(arguments: str) -> bool:
    """Return whether the arguments of a call are written to their end."""
    try:
        _object(arguments)
    except (msgspec.DecodeError, RecursionError):
        return False
    return True


class ToolCalls:
    """The assembly of deltas into whole calls, since Ollama never splits one over lines."""

    def __init__(self, make_id: NewId = new_id) -> None:
        self._make_id = make_id
        self._open: dict[int, tuple[str, str, list[str]]] = {}

    def feed(self, deltas: Sequence[ToolCallDelta]) -> list[replies.ToolCall]:
        """Return the calls that are complete now because the next one has begun."""
        done: list[replies.ToolCall] = []
        for delta in deltas:
            if delta.index not in self._open:
                done += self.flush()
                self._open[delta.index] = (delta.id or "", delta.name or "", [])
            self._open[delta.index][2].append(delta.arguments)
        return done

    def flush(self, *, cut: bool = False) -> list[replies.ToolCall]:
        """Return the calls that are complete because nothing more comes. Half a call of a ``cut`` answer is dropped."""
        open_, self._open = self._open, {}
        found = [(at, call, name, "".join(arguments)) for at, (call, name, arguments) in open_.items()]
        return [tool_call(*each, self._make_id) for each in found if not cut or is_complete(each[-1])]


def _logprob(item: TokenLogprob, top: int) -> replies.Logprob:
    best = sorted(item.top, key=lambda each: -each.logprob)[:top]
    return replies.Logprob(
        item.token,
        _finite(item.logprob),
        list(item.bytes) or UNSET,
        [_top(each) for each in best] or UNSET,
    )


def _top(item: TopLogprob) -> replies.TopLogprob:
    return replies.TopLogprob(item.token, _finite(item.logprob), list(item.bytes) or UNSET)


def _finite(logprob: float) -> float:
    return int(logprob) if logprob == 0 else logprob if math.isfinite(logprob) else _LEAST


def _object(arguments: str) -> dict[str, Any]:
    return msgspec.json.decode(arguments, type=dict[str, Any])


def _number(value: Any) -> Any:
    """Return a float that is whole without a fraction, as Go writes it."""
    match value:
        case float() if value.is_integer() and abs(value) < 1e21:
            return int(value)
        case dict():
            return {key: _number(item) for key, item in value.items()}
        case list():
            return [_number(item) for item in value]
    return value


__all__ = ("ToolCalls", "is_complete", "is_cut", "logprobs", "metrics", "new_id", "reason", "tool_call")

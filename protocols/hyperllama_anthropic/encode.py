"""A message whole, and as events: blocks open, grow and close by index."""

from __future__ import annotations

from collections.abc import Sequence
from secrets import token_hex
from typing import Any

import msgspec

from hyperllama.errors import EngineFailed, GatewayError
from hyperllama.generation import Completion, FinishReason, TokenChunk
from hyperllama.generation import Usage as Counted
from hyperllama_anthropic import wire
from hyperllama_anthropic.errors import envelope

JSON = msgspec.json.Encoder()
MEDIA_TYPE = "text/event-stream; charset=utf-8"

_REASONS: dict[FinishReason, str] = {
    "stop": "end_turn",
    "length": "max_tokens",
    "tool_calls": "tool_use",
    "content_filter": "refusal",
    "cancelled": "max_tokens",
}
_DELTAS = {"text": "text", "thinking": "thinking", "input_json": "partial_json"}


def message(completion: Completion, *, id: str, model: str) -> bytes:
    blocks: list[wire.OutputBlock] = []
    if completion.reasoning:
        blocks.append(wire.ThinkingBlock(thinking=completion.reasoning, signature=signature()))
    if completion.text:
        blocks.append(wire.TextBlock(text=completion.text))
    blocks += (
        wire.ToolUseBlock(id=call.id or new_id("toolu_"), name=call.name, input=_object(call.arguments))
        for call in completion.tool_calls
    )
    return JSON.encode(
        wire.Message(
            id=id,
            model=model,
            content=blocks,
            stop_reason=_reason(completion.finish_reason, completion.stop_match, called=bool(completion.tool_calls)),
            stop_sequence=completion.stop_match,
            usage=usage(completion.usage),
        )
    )


def usage(counted: Counted | None) -> wire.Usage:
    if counted is None:
        return wire.Usage(input_tokens=0, output_tokens=0)
    return wire.Usage(
        input_tokens=counted.prompt_tokens - counted.cached_tokens,
        cache_read_input_tokens=counted.cached_tokens,
        output_tokens=counted.completion_tokens,
    )


def new_id(prefix: str) -> str:
    return f"{prefix}{token_hex(12)}"


def signature() -> str:
    """Return a random signature. Clients expect one on thoughts; this server accepts any."""
    return token_hex(16)


class MessageEncoder:
    """Chunks to Messages events. ``message_start`` has the prompt's tokens if the engine has counted them by then."""

    media_type = MEDIA_TYPE

    def __init__(self, *, id: str, model: str) -> None:
        self._id = id
        self._model = model
        self._begun = False
        self._blocks = 0
        self._open = ""  # the kind of delta of the open block
        self._prefix = b""
        self._call: int | None = None  # the engine's index of the open call
        self._called = False
        self._last: TokenChunk | None = None

    def chunks(self, index: int, chunks: Sequence[TokenChunk]) -> bytes:
        out: list[bytes] = []
        if not self._begun:
            self._begin(out, chunks[0].usage if chunks else None)
        for chunk in chunks:
            if chunk.reasoning:
                self._into(out, "thinking", {"type": "thinking", "thinking": "", "signature": ""})
                self._grow(out, chunk.reasoning)
            if chunk.text:
                self._into(out, "text", {"type": "text", "text": ""})
                self._grow(out, chunk.text)
            for delta in chunk.tool_calls:
                if self._open != "input_json" or self._call != delta.index:
                    self._close(out)
                    self._call, self._called = delta.index, True
                    block = {
                        "type": "tool_use",
                        "id": delta.id or new_id("toolu_"),
                        "name": delta.name or "",
                        "input": {},
                    }
                    self._into(out, "input_json", block)
                if delta.arguments:
                    self._grow(out, delta.arguments)
            if chunk.finish_reason is not None:
                self._last = chunk
        return b"".join(out)

    def end(self) -> bytes:
        last = self._last
        if last is None or last.finish_reason is None:
            return self.failure(EngineFailed("The engine stopped before the answer was complete."))
        out: list[bytes] = []
        if not self._begun:
            self._begin(out, None)
        self._close(out)
        delta = {
            "stop_reason": _reason(last.finish_reason, last.stop_match, called=self._called),
            "stop_sequence": last.stop_match,
        }
        out.append(_event("message_delta", delta=delta, usage=usage(last.usage)))
        out.append(_event("message_stop"))
        return b"".join(out)

    def failure(self, error: GatewayError) -> bytes:
        return b"event: error\ndata: " + JSON.encode(envelope(error)) + b"\n\n"

    def _begin(self, out: list[bytes], counted: Counted | None) -> None:
        self._begun = True
        start = wire.Message(
            id=self._id, model=self._model, content=[], stop_reason=None, stop_sequence=None, usage=usage(counted)
        )
        out += (_event("message_start", message=start), _event("ping"))

    def _into(self, out: list[bytes], kind: str, block: dict[str, Any]) -> None:
        if self._open == kind:
            return
        self._close(out)
        self._open = kind
        self._prefix = (
            b'event: content_block_delta\ndata: {"type":"content_block_delta","index":%d,'
            b'"delta":{"type":"%b_delta","%b":' % (self._blocks, kind.encode(), _DELTAS[kind].encode())
        )
        out.append(_event("content_block_start", index=self._blocks, content_block=block))

    def _grow(self, out: list[bytes], text: str) -> None:
        out += (self._prefix, JSON.encode(text), b"}}\n\n")

    def _close(self, out: list[bytes]) -> None:
        if not self._open:
            return
        if self._open == "thinking":
            delta = {"type": "signature_delta", "signature": signature()}
            out.append(_event("content_block_delta", index=self._blocks, delta=delta))
        out.append(_event("content_block_stop", index=self._blocks))
        self._blocks += 1
        self._open = ""


def _event(kind: str, **fields: object) -> bytes:
    return b"event: %b\ndata: %b\n\n" % (kind.encode(), JSON.encode({"type": kind, **fields}))


def _reason(reason: FinishReason, stop_match: str | None, *, called: bool) -> str:
    if stop_match is not None:
        return "stop_sequence"
    if reason == "tool_calls" and not called:
        return "end_turn"
    return "tool_use" if reason == "stop" and called else _REASONS[reason]


def _object(arguments: str) -> dict[str, Any]:
    """Return the arguments as an object, empty for a call that was cut short."""
    try:
        return msgspec.json.decode(arguments or "{}", type=dict[str, Any])
    except (msgspec.DecodeError, RecursionError):
        return {}


__all__ = ("JSON", "MEDIA_TYPE", "MessageEncoder", "message", "new_id", "usage")

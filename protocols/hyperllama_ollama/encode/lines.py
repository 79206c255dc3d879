"""Chunks as lines of JSON. A plain text token costs one JSON string; everything else a Struct.

Pure but for the clock, which can be given.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import ClassVar

from msgspec import UNSET

from hyperllama.errors import GatewayError
from hyperllama.generation import Timings, TokenChunk, Usage
from hyperllama_ollama import errors
from hyperllama_ollama.encode import pieces, replies
from hyperllama_ollama.encode.text import dumps, now, string

NDJSON = "application/x-ndjson"


class _Lines(ABC):
    """The part that both dialects of the stream share. ``top``: the number of alternatives each logprob shows."""

    media_type = NDJSON
    text_start: ClassVar[bytes]  # of a line, between its time and the text
    thought_start: ClassVar[bytes]
    text_end: ClassVar[bytes]  # after either

    def __init__(
        self,
        model: str,
        *,
        top: int = 0,
        clock: Callable[[], str] = now,
        make_id: pieces.NewId = pieces.new_id,
    ) -> None:
        """Take ``model`` as the client spelled it."""
        self._model = model
        self._head = b'{"model":' + string(model) + b',"created_at":"'
        self._top = top
        self._clock = clock
        self._calls = pieces.ToolCalls(make_id)

    def chunks(self, index: int, chunks: Sequence[TokenChunk]) -> bytes:
        head = self._head + self._clock().encode()
        start, end = head + self.text_start, self.text_end
        lines: list[bytes] = []
        for chunk in chunks:
            probs = self._logprobs(chunk) if chunk.logprobs else b""
            if chunk.reasoning:
                # Never in one line with the answer: clients take what comes first for the end of thinking.
                lines += (head, self.thought_start, string(chunk.reasoning), end, b"" if chunk.text else probs, b"}\n")
            if chunk.text or (probs and not chunk.reasoning):
                lines += (start, string(chunk.text), end, probs, b"}\n")
            if chunk.tool_calls:
                lines += map(self._call, self._calls.feed(chunk.tool_calls))
            if chunk.finish_reason is not None:
                cut = pieces.is_cut(chunk.finish_reason, chunk.stop_match)
                lines += map(self._call, self._calls.flush(cut=cut))
                lines.append(self._last(chunk))
        return b"".join(lines)

    def end(self) -> bytes:
        return b""

    def failure(self, error: GatewayError) -> bytes:
        return errors.line(error)

    def _logprobs(self, chunk: TokenChunk) -> bytes:
        return b',"logprobs":' + dumps(pieces.logprobs(chunk.logprobs, self._top))

    @abstractmethod
    def _call(self, call: replies.ToolCall) -> bytes: ...

    @abstractmethod
    def _last(self, chunk: TokenChunk) -> bytes: ...


class GenerateLines(_Lines):
    """``/api/generate``. With ``context`` the last line carries the ids of prompt and answer."""

    text_start = b'","response":'
    thought_start = text_start + b'"","thinking":'
    text_end = b',"done":false'

    def __init__(
        self,
        model: str,
        *,
        context: bool = False,
        top: int = 0,
        clock: Callable[[], str] = now,
        make_id: pieces.NewId = pieces.new_id,
    ) -> None:
        super().__init__(model, top=top, clock=clock, make_id=make_id)
        self._context = context
        self._ids: list[int] = []

    def chunks(self, index: int, chunks: Sequence[TokenChunk]) -> bytes:
        if self._context:
            for chunk in chunks:
                self._ids.extend(chunk.token_ids)
        return super().chunks(index, chunks)

    def _call(self, call: replies.ToolCall) -> bytes:
        line = replies.Generated(model=self._model, created_at=self._clock(), done=False, tool_calls=[call])
        return dumps(line) + b"\n"

    def _last(self, chunk: TokenChunk) -> bytes:
        ids = [*chunk.prompt_token_ids, *self._ids] if self._context and chunk.prompt_token_ids else UNSET
        line = replies.Generated(
            model=self._model,
            created_at=self._clock(),
            done_reason=pieces.reason(chunk.finish_reason or "stop"),
            context=ids,
            **pieces.metrics(chunk.usage or Usage(), chunk.timings or Timings()),
        )
        return dumps(line) + b"\n"


class ChatLines(_Lines):
    """``/api/chat``. Each tool call has a line of its own, before the last one."""

    text_start = b'","message":{"role":"assistant","content":'
    thought_start = text_start + b'"","thinking":'
    text_end = b'},"done":false'

    def _call(self, call: replies.ToolCall) -> bytes:
        message = replies.Message(tool_calls=[call])
        line = replies.Chatted(model=self._model, created_at=self._clock(), message=message, done=False)
        return dumps(line) + b"\n"

    def _last(self, chunk: TokenChunk) -> bytes:
        line = replies.Chatted(
            model=self._model,
            created_at=self._clock(),
            done_reason=pieces.reason(chunk.finish_reason or "stop"),
            **pieces.metrics(chunk.usage or Usage(), chunk.timings or Timings()),
        )
        return dumps(line) + b"\n"


__all__ = ("NDJSON", "ChatLines", "GenerateLines")

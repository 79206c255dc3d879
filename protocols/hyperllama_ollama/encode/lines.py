"""Chunks as lines of JSON. Pure but for the clock, which can be given."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence

from msgspec import UNSET

from hyperllama.errors import GatewayError
from hyperllama.generation import Timings, TokenChunk, Usage
from hyperllama_ollama import errors
from hyperllama_ollama.encode import pieces, replies
from hyperllama_ollama.encode.text import dumps, now, string

NDJSON = "application/x-ndjson"


class _Lines(ABC):
    """What both dialects of the stream share. ``top``: the number of alternatives each logprob shows."""

    media_type = NDJSON

    def __init__(
        self,
        model: str,
        *,
        top: int = 0,
        clock: Callable[[], str] = now,
        make_id: pieces.NewId = pieces.new_id,
    ) -> None:
        """``model`` as the client spelled it."""
        self._model = model
        self._head = b'{"model":' + string(model) + b',"created_at":"'
        self._top = top
        self._clock = clock
        self._calls = pieces.ToolCalls(make_id)

    def chunks(self, index: int, chunks: Sequence[TokenChunk]) -> bytes:
        head = self._head + self._clock().encode()
        lines: list[bytes] = []
        for chunk in chunks:
            if chunk.reasoning:
                # Never in one line with the answer: clients take what comes first for the end of thinking.
                lines.append(self._thinking(head, chunk, alone=not chunk.text))
            if chunk.text or (chunk.logprobs and not chunk.reasoning):
                lines.append(self._text(head, chunk))
            if chunk.tool_calls:
                lines += map(self._call, self._calls.feed(chunk.tool_calls))
            self._seen(chunk)
            if chunk.finish_reason is not None:
                lines += map(self._call, self._calls.flush())
                lines.append(self._last(chunk))
        return b"".join(lines)

    def end(self) -> bytes:
        return b""

    def failure(self, error: GatewayError) -> bytes:
        return errors.line(error)

    def _logprobs(self, chunk: TokenChunk) -> bytes:
        if not chunk.logprobs:
            return b""
        return b',"logprobs":' + dumps(pieces.logprobs(chunk.logprobs, self._top))

    def _seen(self, chunk: TokenChunk) -> None:  # noqa: B027 - not every endpoint looks
        """Told of every chunk before the last line is made."""

    @abstractmethod
    def _thinking(self, head: bytes, chunk: TokenChunk, *, alone: bool) -> bytes: ...

    @abstractmethod
    def _text(self, head: bytes, chunk: TokenChunk) -> bytes: ...

    @abstractmethod
    def _call(self, call: replies.ToolCall) -> bytes: ...

    @abstractmethod
    def _last(self, chunk: TokenChunk) -> bytes: ...


class GenerateLines(_Lines):
    """``/api/generate``. With ``context`` the last line carries the ids of prompt and answer."""

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

    def _seen(self, chunk: TokenChunk) -> None:
        if self._context:
            self._ids.extend(chunk.token_ids)

    def _thinking(self, head: bytes, chunk: TokenChunk, *, alone: bool) -> bytes:
        logprobs = self._logprobs(chunk) if alone else b""
        return b'%b","response":"","thinking":%b,"done":false%b}\n' % (
            head,
            string(chunk.reasoning),
            logprobs,
        )

    def _text(self, head: bytes, chunk: TokenChunk) -> bytes:
        return b'%b","response":%b,"done":false%b}\n' % (head, string(chunk.text), self._logprobs(chunk))

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

    def _thinking(self, head: bytes, chunk: TokenChunk, *, alone: bool) -> bytes:
        logprobs = self._logprobs(chunk) if alone else b""
        return b'%b","message":{"role":"assistant","content":"","thinking":%b},"done":false%b}\n' % (
            head,
            string(chunk.reasoning),
            logprobs,
        )

    def _text(self, head: bytes, chunk: TokenChunk) -> bytes:
        return b'%b","message":{"role":"assistant","content":%b},"done":false%b}\n' % (
            head,
            string(chunk.text),
            self._logprobs(chunk),
        )

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

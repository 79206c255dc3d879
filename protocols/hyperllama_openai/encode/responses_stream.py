"""A response as events: items open, grow and close, in order and numbered; one terminal event ends them."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from types import NoneType

from msgspec.structs import replace

from hyperllama.errors import EngineFailed, GatewayError
from hyperllama.generation import FinishReason, TokenChunk, TokenLogprob, Usage
from hyperllama_openai import ids
from hyperllama_openai.decode.toolbox import Toolbox
from hyperllama_openai.encode import logprobs, sse
from hyperllama_openai.encode.items import (
    ClientCallItem,
    CompactionItem,
    MessageItem,
    OpenItem,
    ReasoningItem,
    call_item,
)
from hyperllama_openai.encode.responses import response, wants_summary
from hyperllama_openai.wire import response as wire
from hyperllama_openai.wire.responses import ResponsesRequest

SEALED = "reasoning.encrypted_content"  # of ``include``
_INCOMPLETE: dict[FinishReason, str] = {
    "length": "max_output_tokens",
    "cancelled": "max_output_tokens",
    "content_filter": "content_filter",
}


class ResponsesEncoder:
    """Chunks to Responses events. ``response`` is the object as it stands: complete after ``end`` or ``failure``."""

    media_type = sse.MEDIA_TYPE

    def __init__(
        self,
        request: ResponsesRequest,
        *,
        id: str,
        created: int,
        box: Toolbox | None = None,
        first_item: int = 1,
        with_logprobs: bool = False,
        seal: Callable[[str], str] | None = None,
        on_final: Callable[[wire.Response], None] | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Take ``on_final``, which is called with the response before the event that carries it.

        ``box`` holds the request's tools, ``first_item`` is the number of the first output item's id. With ``seal``
        the answer is a summary of the conversation, which ``seal`` makes opaque.
        """
        self._request = request
        self._id = id
        self._created = created
        self._logprobs = with_logprobs
        self._box = Toolbox() if box is None else box
        self._number = first_item
        self._summary = wants_summary(request)
        self._sealed = SEALED in (request.include or ())
        self._on_final = on_final
        self._clock = clock
        self._sequence = 0
        self._seal = seal
        self._begun = False
        self._ahead: wire.Compaction | None = None  # a summary that has yet to be sent
        self._before = 0  # items of the output that the model's answer does not hold
        self._spent = Usage()  # on them
        self._open: OpenItem | None = None
        self._done: list[wire.OutputItem] = []
        self._call: int | None = None  # the engine's index of the open call
        self._finish: FinishReason | None = None
        self._usage: Usage | None = None
        self.response = self._object("in_progress")

    def begin(self) -> bytes:
        """Return the two events before any output, which the other methods send first if they were not sent."""
        self._begun = True
        return self._event("response.created", response=self.response) + self._event(
            "response.in_progress", response=self.response
        )

    def precede(self, sealed: str, usage: Usage) -> None:
        """Take a summary in its opaque form, made before the answer: it is the first item, and its cost counts."""
        self._ahead = wire.Compaction(id=self._id_of("cmp_"), encrypted_content=sealed)
        self._spent = usage

    def chunks(self, index: int, chunks: Sequence[TokenChunk]) -> bytes:
        out: list[bytes] = [] if self._begun and self._ahead is None else self._opening()
        for chunk in chunks:
            if chunk.reasoning and self._seal is None:
                self._into(out, ReasoningItem, self._thoughts)
                self._grow(out, chunk.reasoning)
            probs = logprobs.of_content(chunk).logprobs if self._logprobs else ()
            if chunk.text or probs:
                self._into(out, MessageItem if self._seal is None else CompactionItem, self._message)
                self._grow(out, chunk.text, probs)
            for delta in chunk.tool_calls:
                if self._call != delta.index or isinstance(self._open, (MessageItem, ReasoningItem, NoneType)):
                    self._close(out, "completed")
                    self._call = delta.index
                    name = delta.name or ""
                    call_id = delta.id or ids.new("call_")
                    self._begin(out, call_item(self._box.called(name), name=name, call_id=call_id, id=self._id_of))
                if delta.arguments:
                    self._grow(out, delta.arguments)
            if chunk.finish_reason is not None:
                self._finish, self._usage = chunk.finish_reason, chunk.usage
        return b"".join(out)

    def end(self) -> bytes:
        if self._finish is None:
            return self.failure(EngineFailed("The engine stopped before the answer was complete."))
        if self._seal is not None and not _holds_summary(self._open):
            return self.failure(EngineFailed("The model wrote no summary."))
        out = self._opening()
        if self._open is None and len(self._done) == self._before:
            self._begin(out, self._message())
        reason = _INCOMPLETE.get(self._finish)
        status = "completed" if reason is None else "incomplete"
        self._close(out, status)
        self._final(
            self._object(status, usage=_sum(self._usage, self._spent), incomplete=reason, completed=int(self._clock()))
        )
        out.append(self._event(f"response.{status}", response=self.response))
        return b"".join(out)

    def failure(self, error: GatewayError) -> bytes:
        """Return the events of a failure. Output before it stays in the response, marked incomplete."""
        out = self._opening()
        self._close(out, "incomplete")
        self._final(self._object("failed", error=error))
        out.append(self._event("response.failed", response=self.response))
        return b"".join(out)

    def cancel(self) -> bytes:
        """Return the events that close open items as incomplete. No event reports the cancellation."""
        out: list[bytes] = []
        self._close(out, "incomplete")
        self._final(self._object("cancelled"))
        return b"".join(out)

    def _opening(self) -> list[bytes]:
        """Return what has yet to be sent before the model's answer."""
        out = [] if self._begun else [self.begin()]
        item, self._ahead = self._ahead, None
        if item is not None:
            self._before = 1
            opened = replace(item, encrypted_content="")
            out.append(self._event("response.output_item.added", output_index=0, item=opened))
            out.append(self._event("response.output_item.done", output_index=0, item=item))
            self._done.append(item)
        return out

    def _into(self, out: list[bytes], kind: type[OpenItem], make: Callable[[], OpenItem]) -> None:
        if not isinstance(self._open, kind):
            self._close(out, "completed")
            self._begin(out, make())

    def _id_of(self, prefix: str) -> str:
        found = ids.item(self._id, prefix, self._number)
        self._number += 1
        return found

    def _thoughts(self) -> ReasoningItem:
        return ReasoningItem(self._id_of("rs_"), summary=self._summary, sealed=self._sealed)

    def _message(self) -> MessageItem | CompactionItem:
        if self._seal is not None:
            return CompactionItem(self._id_of("cmp_"), self._seal)
        return MessageItem(self._id_of("msg_"))

    def _begin(self, out: list[bytes], item: OpenItem) -> None:
        self._open = item
        index = len(self._done)
        item.place(index)
        if isinstance(item, ClientCallItem):
            return  # shown when it is whole
        out.append(self._event("response.output_item.added", output_index=index, item=item.finished("in_progress")))
        out += (self._event(kind, **fields) for kind, fields in item.begin())

    def _grow(self, out: list[bytes], text: str, probs: Sequence[TokenLogprob] = ()) -> None:
        assert self._open is not None  # noqa: S101 - the caller opened it
        grown = self._open.grow(text, probs)
        if grown is not None:
            out += (grown[0], b"%d" % self._sequence, grown[1])
            self._sequence += 1

    def _close(self, out: list[bytes], status: str) -> None:
        item, self._open = self._open, None
        if item is None:
            return
        if isinstance(item, ClientCallItem):
            added = item.finished("in_progress")
            out.append(self._event("response.output_item.added", output_index=len(self._done), item=added))
        out += (self._event(kind, **fields) for kind, fields in item.end())
        done = item.finished(status)
        out.append(self._event("response.output_item.done", output_index=len(self._done), item=done))
        self._done.append(done)

    def _final(self, response: wire.Response) -> None:
        self.response = response
        if self._on_final is not None:
            self._on_final(response)

    def _object(
        self,
        status: str,
        *,
        usage: Usage | None = None,
        incomplete: str | None = None,
        error: GatewayError | None = None,
        completed: int | None = None,
    ) -> wire.Response:
        return response(
            self._request,
            id=self._id,
            created=self._created,
            status=status,
            output=self._done,
            usage=usage,
            incomplete=incomplete,
            error=error,
            completed=completed,
        )

    def _event(self, kind: str, **fields: object) -> bytes:
        data = sse.JSON.encode({"type": kind, "sequence_number": self._sequence, **fields})
        self._sequence += 1
        return b"event: %b\ndata: %b\n\n" % (kind.encode(), data)


def _holds_summary(item: OpenItem | None) -> bool:
    found = None if item is None else item.finished("completed")
    return isinstance(found, wire.Compaction) and bool(found.encrypted_content)


def _sum(usage: Usage | None, spent: Usage) -> Usage | None:
    if usage is None or spent == Usage():
        return usage
    return Usage(
        usage.prompt_tokens + spent.prompt_tokens,
        usage.completion_tokens + spent.completion_tokens,
        usage.cached_tokens + spent.cached_tokens,
        usage.reasoning_tokens + spent.reasoning_tokens,
    )


__all__ = ("ResponsesEncoder",)

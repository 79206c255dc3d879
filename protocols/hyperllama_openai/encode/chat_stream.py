"""A streamed chat completion. A plain text token costs one JSON string and two joins; everything else a Struct."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

from msgspec import UNSET, UnsetType
from msgspec.structs import replace

from hyperllama.errors import EngineFailed, GatewayError
from hyperllama.generation import TokenChunk, ToolCallDelta, Usage
from hyperllama_openai import ids
from hyperllama_openai.encode import finish, logprobs, sse
from hyperllama_openai.encode.freeform import Freeform
from hyperllama_openai.encode.shape import ReplyShape
from hyperllama_openai.encode.usage import total
from hyperllama_openai.wire import chat as wire

TokenIds: TypeAlias = list[int] | UnsetType

_ENCODE = sse.JSON.encode
_TEXT_END = b'},"logprobs":null,"finish_reason":null}]}\n\n'


class _Choice:
    """The state of one choice: the events sent so far."""

    __slots__ = ("calls", "custom", "finished", "index", "opened", "text", "usage")

    def __init__(self, index: int, head: bytes) -> None:
        self.index = index
        self.text = head + b'{"index":%d,"delta":{"content":' % index
        self.opened = False
        self.finished = False
        self.calls: dict[int, int] = {}  # the engine's index of a call -> ours, dense
        self.custom: dict[int, Freeform] = {}  # by our index, of the calls of custom tools
        self.usage: Usage | None = None


class ChatEncoder:
    """Chunks to ``chat.completion.chunk`` events: one id, created and model throughout."""

    media_type = sse.MEDIA_TYPE

    def __init__(self, shape: ReplyShape) -> None:
        self._head = b'data: {"id":%b,"object":"chat.completion.chunk","created":%d,"model":%b,"choices":' % (
            _ENCODE(shape.id),
            shape.created,
            _ENCODE(shape.model),
        )
        self._choices = [_Choice(index, self._head + b"[") for index in range(shape.n)]
        self._include_usage = shape.include_usage
        self._logprobs = shape.logprobs is not None
        self._with_stop = shape.with_stop
        self._reasoning = shape.show_reasoning
        self._named = shape.named_finish
        self._token_ids = shape.token_ids
        self._custom = shape.custom

    def chunks(self, index: int, chunks: Sequence[TokenChunk]) -> bytes:
        choice = self._choices[index]
        start, plain, opened = choice.text, not (self._logprobs or self._token_ids), choice.opened
        out: list[bytes] = []
        for chunk in chunks:
            # One test for the hot path: nothing but text.
            if plain and opened and chunk.finish_reason is None and not chunk.tool_calls and not chunk.reasoning:
                if chunk.text:
                    out += (start, _ENCODE(chunk.text), _TEXT_END)
            else:
                self._spell(out, choice, chunk)
                opened = choice.opened
        return b"".join(out)

    def end(self) -> bytes:
        if not all(choice.finished for choice in self._choices):
            return self.failure(EngineFailed("The engine stopped before the answer was complete."))
        if not self._include_usage:
            return sse.DONE
        usage = total([choice.usage for choice in self._choices], n=len(self._choices))
        return self._head + b'[],"usage":' + _ENCODE(usage) + b"}\n\n" + sse.DONE

    def failure(self, error: GatewayError) -> bytes:
        return sse.failure(error)

    def _spell(self, out: list[bytes], choice: _Choice, chunk: TokenChunk) -> None:
        """Append the events of a chunk, in the order clients rely on: thoughts, text, calls, the end."""
        token_ids: TokenIds = list(chunk.token_ids) if self._token_ids else UNSET
        if chunk.reasoning and self._reasoning:
            self._open(out, choice)
            delta = wire.Delta(reasoning_content=chunk.reasoning, reasoning=chunk.reasoning)
            out.append(self._event(wire.ChunkChoice(index=choice.index, delta=delta, token_ids=token_ids)))
            token_ids = UNSET
        text = chunk.text + (chunk.stop_match or "" if self._with_stop else "")
        probs = logprobs.of_content(chunk).logprobs if self._logprobs else ()
        bare = bool(token_ids) and not chunk.tool_calls and chunk.finish_reason is None  # ids that make no text
        if text or probs or bare:
            self._open(out, choice)
            out.append(
                self._event(
                    wire.ChunkChoice(
                        index=choice.index,
                        delta=wire.Delta(content=text),
                        logprobs=logprobs.content(probs) if self._logprobs else None,
                        token_ids=token_ids,
                    )
                )
            )
            token_ids = UNSET
        for delta_call in self._calls(choice, chunk):
            self._call(out, choice, delta_call, token_ids)
            token_ids = UNSET
        if chunk.finish_reason is not None and not choice.finished:
            self._open(out, choice)
            self._finish(out, choice, chunk, token_ids)

    def _open(self, out: list[bytes], choice: _Choice) -> None:
        """Append the role, once, after those of the choices before it, since clients want index 0 first."""
        for earlier in self._choices[: choice.index + 1]:
            if not earlier.opened:
                earlier.opened = True
                delta = wire.Delta(role="assistant", content="", refusal=None)
                probs = wire.Logprobs([]) if self._logprobs else None
                out.append(self._event(wire.ChunkChoice(index=earlier.index, delta=delta, logprobs=probs)))

    def _calls(self, choice: _Choice, chunk: TokenChunk) -> list[wire.ToolCallDelta]:
        """Return one entry per call, with dense indexes; id, type and name on a call's first."""
        first: dict[int, wire.ToolCallDelta] = {}
        texts: dict[int, list[str]] = {}
        for delta in chunk.tool_calls:
            index = choice.calls.get(delta.index)
            if index is None:
                index = choice.calls[delta.index] = len(choice.calls)
                first[index] = self._begun(choice, index, delta)
            texts.setdefault(index, []).append(delta.arguments)
        found = []
        for index, pieces in texts.items():
            before, text, reader = first.get(index), "".join(pieces), choice.custom.get(index)
            text = text if reader is None else reader.feed(text)
            if before is not None:
                found.append(_with(before, text))
            elif text:
                found.append(_piece(index, text, custom=reader is not None))
        return found

    def _begun(self, choice: _Choice, index: int, delta: ToolCallDelta) -> wire.ToolCallDelta:
        """Return the first entry of a call, without arguments."""
        call_id, name = delta.id or ids.new("call_"), delta.name or ""
        if (own := self._custom.get(name)) is not None:
            choice.custom[index] = Freeform()
            return wire.ToolCallDelta(index=index, id=call_id, type="custom", custom=wire.CustomOut(name=own))
        return wire.ToolCallDelta(index=index, id=call_id, type="function", function=wire.FunctionOut(name=name))

    def _call(self, out: list[bytes], choice: _Choice, call: wire.ToolCallDelta, token_ids: TokenIds) -> None:
        """Append a call's fragment; the very first of an answer also brings the role, as OpenAI sends it."""
        delta = wire.Delta(tool_calls=[call])
        if not choice.opened:
            if choice.index:
                self._open(out, self._choices[choice.index - 1])
            choice.opened = True
            delta = wire.Delta(role="assistant", content=None, tool_calls=[call], refusal=None)
        out.append(self._event(wire.ChunkChoice(index=choice.index, delta=delta, token_ids=token_ids)))

    def _finish(self, out: list[bytes], choice: _Choice, chunk: TokenChunk, token_ids: TokenIds) -> None:
        assert chunk.finish_reason is not None  # noqa: S101 - the caller looked
        choice.finished = True
        choice.usage = chunk.usage
        for index, reader in choice.custom.items():
            if rest := reader.end():
                self._call(out, choice, _piece(index, rest, custom=True), UNSET)
        last = wire.ChunkChoice(
            index=choice.index,
            delta=wire.Delta(),
            finish_reason=finish.chat(chunk.finish_reason, called=bool(choice.calls), named=self._named),
            stop_reason=chunk.stop_match if chunk.stop_match is not None else UNSET,
            token_ids=token_ids,
            prompt_token_ids=list(chunk.prompt_token_ids) if self._token_ids else UNSET,
        )
        out.append(self._event(last))

    def _event(self, choice: wire.ChunkChoice) -> bytes:
        return self._head + _ENCODE((choice,)) + b"}\n\n"


def _with(first: wire.ToolCallDelta, text: str) -> wire.ToolCallDelta:
    """Return the first entry of a call with the first piece of its arguments or input."""
    if first.custom is not UNSET:
        return replace(first, custom=replace(first.custom, input=text))
    return first if first.function is UNSET else replace(first, function=replace(first.function, arguments=text))


def _piece(index: int, text: str, *, custom: bool) -> wire.ToolCallDelta:
    if custom:
        return wire.ToolCallDelta(index=index, custom=wire.CustomOut(input=text))
    return wire.ToolCallDelta(index=index, function=wire.FunctionOut(arguments=text))


__all__ = ("ChatEncoder",)

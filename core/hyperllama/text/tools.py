"""Tool calls that a model writes into its text, separated from the text."""

from __future__ import annotations

import secrets
from collections.abc import Collection
from enum import Enum, auto

from msgspec.structs import replace

from hyperllama.generation import GenerationRequest, NoTool, TokenChunk, TokenLogprob, ToolCallDelta
from hyperllama.models import ModelInfo
from hyperllama.spi import Transform, TransformFactory
from hyperllama.text.calls import Calls, decode
from hyperllama.text.formats import Format
from hyperllama.text.heads import NoHead, head
from hyperllama.text.logprobs import LogprobQueue
from hyperllama.text.reasoning import overlap
from hyperllama.text.scan import Broken, JsonScanner

_PIECE = 1024  # characters read at a time: what is read again after a broken call is then little


class _Mode(Enum):
    BEGINNING = auto()  # nothing but space yet
    TEXT = auto()
    HEAD = auto()  # behind a mark, before the JSON
    JSON = auto()
    AFTER = auto()  # behind a call: what closes it, or the next


class ToolCalls:
    """A call is passed on whole, as one delta, once its JSON is complete and valid; text around it flows.

    Text that looked like a call and is none is passed on unchanged, marks included, and so is a call that the
    end cuts off. Only the marks of calls that were passed on are dropped, and the space around them. With
    ``parallel`` False calls after the first are dropped as well. The finish reason ``stop`` becomes ``tool_calls``;
    any other stays. Passes everything through once the engine itself has sent a call.
    """

    def __init__(
        self, format: Format, *, known: Collection[str], parallel: bool = True, logprobs: bool = False
    ) -> None:
        """Parse calls. ``known``: the tools' names, one of which a call without a mark of its own must have."""
        self._format = format
        self._known = known
        self._parallel = parallel
        self._firsts = frozenset(mark[0] for mark in format.marks)
        self._mode = _Mode.BEGINNING
        self._held = ""  # seen and not decided
        self._spaces: list[str] = []  # held behind it
        self._spacious = False  # whatever space follows ``_held`` decides nothing
        self._raw: list[str] = []  # all of the call that is coming in, space and mark first
        self._json: list[str] = []  # and its JSON
        self._name: str | None = None
        self._certain = False  # its mark says that a call comes, whatever it calls
        self._scanner = JsonScanner()
        self._count = 0
        self._engine = False
        self._output = _Output(LogprobQueue() if logprobs else None)

    def feed(self, chunk: TokenChunk) -> TokenChunk:
        if self._mode is _Mode.TEXT and not self._held and self._firsts.isdisjoint(chunk.text):
            return chunk if chunk.finish_reason is None else self._finished(chunk)
        if self._engine or chunk.tool_calls:
            self._engine = True
            if not self._held and not self._raw:
                return chunk
        return self._read(chunk)

    def _read(self, chunk: TokenChunk) -> TokenChunk:
        ends = chunk.finish_reason is not None or self._engine
        text = chunk.text
        self._output.begin(chunk)
        for at in range(0, len(text), _PIECE) or (0,):
            self._steps(text[at : at + _PIECE], last=ends and at + _PIECE >= len(text))
        if ends and self._raw:
            self._give_back()
        out = self._output.end(chunk)
        return self._finished(out) if chunk.finish_reason is not None else out

    def _steps(self, text: str, *, last: bool) -> None:
        if not last and self._held:
            if not text:
                return
            if self._spacious and text.isspace():  # a long run of space costs each character once
                self._spaces.append(text)
                return
        rest: str | None = "".join((self._held, *self._spaces, text))
        self._held, self._spacious = "", False
        self._spaces.clear()
        while rest is not None:
            match self._mode:
                case _Mode.HEAD:
                    rest = self._head(rest, last=last)
                case _Mode.JSON:
                    rest = self._value(rest)
                case _Mode.AFTER:
                    rest = self._after(rest, last=last)
                case _:
                    rest = self._text(rest, last=last)

    # Each step takes the undecided text and returns what remains of it; None: it needs the next chunk.

    def _text(self, rest: str, *, last: bool) -> str | None:
        if self._mode is _Mode.BEGINNING:
            stripped = rest.lstrip()
            if stripped and stripped[0] in self._format.bare:
                self._begin(rest[: len(rest) - len(stripped)], "")
                return stripped
            if not last and any(mark.startswith(stripped) for mark in self._format.marks):
                self._held, self._spacious = rest, not stripped
                return None
            self._mode = _Mode.TEXT
            for mark in self._format.marks:
                if stripped.startswith(mark):
                    self._begin(rest[: len(rest) - len(stripped)], mark)
                    return stripped[len(mark) :]
        found = [(at, mark) for mark in self._format.marks if (at := rest.find(mark)) >= 0]
        if found:
            at, mark = min(found)
            self._output.show(rest[:at])
            self._begin("", mark)
            return rest[at + len(mark) :]
        held = 0 if last else max(overlap(rest, mark) for mark in self._format.marks)
        self._output.show(rest[: len(rest) - held])
        self._held = rest[len(rest) - held :]
        return None

    def _head(self, rest: str, *, last: bool) -> str | None:
        found = head(rest, named=self._format.named)
        if isinstance(found, NoHead):
            if found.more and not last:
                self._held = rest
                return None
            self._give_back()
            return rest
        self._raw.append(rest[: found.json])
        self._name = found.name
        self._mode = _Mode.JSON
        return rest[found.json :]

    def _value(self, rest: str) -> str | None:
        try:
            end = self._scanner.feed(rest)
        except Broken as broken:
            self._raw.append(rest[: broken.at])
            self._give_back()
            return rest[broken.at :]
        piece = rest if end < 0 else rest[:end]
        self._raw.append(piece)
        self._json.append(piece)
        if end < 0:
            return None
        calls = decode("".join(self._json), name=self._name, known=None if self._certain else self._known)
        if calls is None:
            self._give_back()
        else:
            self._emit(calls)
        return rest[end:]

    def _after(self, rest: str, *, last: bool) -> str | None:
        closes, stripped = self._format.closes, rest.lstrip()
        if stripped.startswith(closes):
            close = next(close for close in closes if stripped.startswith(close))
            stripped = stripped[len(close) :]
            self._output.drop(len(rest) - len(stripped))
            return stripped
        then = stripped[1:].lstrip() if stripped[:1] and stripped[0] in self._format.separators else stripped
        undecided = not then or any(mark.startswith(stripped) for mark in (*closes, *self._format.marks))
        if undecided and not last:
            self._held, self._spacious = rest, not then
            return None
        if not then or (last and any(close.startswith(stripped) for close in closes)):
            self._output.drop(len(rest))
            return None
        if then[0] in self._format.bare:
            self._output.drop(len(rest) - len(then))
            self._begin("", "")
            return then
        self._output.drop(len(rest) - len(stripped))
        self._mode = _Mode.TEXT
        return stripped

    def _begin(self, space: str, mark: str) -> None:
        """Start a call after ``space`` and ``mark``; an empty mark: the JSON begins without one."""
        self._raw, self._json, self._name, self._scanner = [space + mark], [], None, JsonScanner()
        self._mode = _Mode.HEAD if mark else _Mode.JSON
        self._certain = bool(mark) and not mark.startswith("```")

    def _give_back(self) -> None:
        self._output.show("".join(self._raw))
        self._raw = []
        self._mode = _Mode.TEXT

    def _emit(self, calls: Calls) -> None:
        self._output.drop(sum(map(len, self._raw)))
        self._raw = []
        self._mode = _Mode.AFTER
        for name, arguments in calls:
            if self._parallel or not self._count:
                self._output.call(ToolCallDelta(self._count, arguments, f"call_{secrets.token_hex(12)}", name))
                self._count += 1

    def _finished(self, chunk: TokenChunk) -> TokenChunk:
        return replace(chunk, finish_reason="tool_calls") if self._count and chunk.finish_reason == "stop" else chunk


class _Output:
    """The output of one chunk. Characters are shown or dropped in the order in which they came."""

    def __init__(self, logprobs: LogprobQueue | None) -> None:
        self._queue = logprobs
        self._text: list[str] = []
        self._calls: list[ToolCallDelta] = []
        self._logprobs: list[TokenLogprob] = []

    def begin(self, chunk: TokenChunk) -> None:
        self._text, self._calls, self._logprobs = [], [], []
        if self._queue is not None:
            self._queue.add(chunk)

    def show(self, text: str) -> None:
        self._text.append(text)
        if self._queue is not None and text:
            self._logprobs.extend(self._queue.take(len(text)))

    def drop(self, characters: int) -> None:
        if self._queue is not None:
            self._queue.drop(characters)

    def call(self, delta: ToolCallDelta) -> None:
        self._calls.append(delta)

    def end(self, chunk: TokenChunk) -> TokenChunk:
        text = "".join(self._text)
        logprobs = chunk.logprobs if self._queue is None else tuple(self._logprobs)
        if text == chunk.text and not self._calls and logprobs == chunk.logprobs:
            return chunk
        return replace(chunk, text=text, tool_calls=(*chunk.tool_calls, *self._calls), logprobs=logprobs)


def tool_calls(format: Format) -> TransformFactory:
    """Return a factory of :class:`ToolCalls`, for requests that offer tools and allow them."""

    def make(request: GenerationRequest, info: ModelInfo) -> Transform | None:
        if not request.tools or isinstance(request.tool_choice, NoTool):
            return None
        return ToolCalls(
            format,
            known=frozenset(tool.name for tool in request.tools),
            parallel=request.parallel_tool_calls,
            logprobs=request.sampling.logprobs is not None,
        )

    return make


__all__ = ("ToolCalls", "tool_calls")

"""Reasoning spans: the reasoning of a model, separated from the answer that follows."""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum, auto

import msgspec
from msgspec.structs import replace

from hyperllama.generation import GenerationRequest, TokenChunk
from hyperllama.messages import Chat
from hyperllama.models import ModelInfo
from hyperllama.spi import Transform, TransformFactory
from hyperllama.text.logprobs import LogprobQueue


class Marks(msgspec.Struct, frozen=True):
    """The strings that open and close a span."""

    start: str
    end: str


class _Phase(Enum):
    LEAD = auto()  # nothing but space yet
    INSIDE = auto()
    AFTER = auto()  # the space after the span
    TEXT = auto()


class ReasoningSpans:
    """One span, at the beginning of the answer: a mark further on is text that speaks of the mark.

    ``opened``: the chat template has already opened it. Space around the marks is dropped, nothing else. A span that
    is never closed takes the whole answer. Adds ``reasoning_tokens`` to the last chunk's usage where the engine has
    none, and passes everything through once the engine itself has sent reasoning.
    """

    __slots__ = ("_held", "_inside", "_logprobs", "_marks", "_opened", "_pending", "_phase", "_spaces", "_tokens")

    def __init__(self, marks: Marks, *, opened: bool = False, logprobs: bool = False) -> None:
        self._marks = marks
        self._opened = opened
        self._phase = _Phase.LEAD
        self._inside = False  # something of the span has been shown
        self._held = ""
        self._spaces: list[str] = []  # held behind ``_held``, which is space, too
        self._pending = 0  # tokens not yet counted as reasoning or text
        self._tokens = 0
        self._logprobs = LogprobQueue() if logprobs else None

    def feed(self, chunk: TokenChunk) -> TokenChunk:
        if chunk.reasoning:
            self._phase = _Phase.TEXT
        if self._phase is _Phase.TEXT and not self._held:
            return chunk if chunk.finish_reason is None else self._counted(chunk)
        last = chunk.finish_reason is not None
        dropped, reasoning, text = 0, "", ""
        if last or not self._undecided(chunk.text):
            buffer = "".join((self._held, *self._spaces, chunk.text))
            self._spaces.clear()
            reasoning, text = self._split(buffer, last=last)
            dropped = len(buffer) - len(self._held) - len(text)
        self._count(chunk.tokens, reasoning, text)
        out = replace(chunk, text=text, reasoning=chunk.reasoning + reasoning)
        if self._logprobs is not None:
            self._logprobs.add(chunk)
            self._logprobs.drop(dropped)
            out = replace(out, logprobs=self._logprobs.take(len(text)))
        return self._counted(out) if last else out

    def _undecided(self, text: str) -> bool:
        """Hold ``text`` unread when it decides nothing, so that a long run of space costs each character once."""
        if not text:
            return True
        if self._held and text.isspace() and (self._spaces or self._held.isspace()):
            self._spaces.append(text)
            return True
        return False

    def _split(self, buffer: str, *, last: bool) -> tuple[str, str]:
        """Return reasoning, then text; hold the rest."""
        self._held = ""
        if self._phase is _Phase.LEAD:
            start, stripped = self._marks.start, buffer.lstrip()
            if stripped.startswith(start):
                buffer, self._phase = stripped[len(start) :], _Phase.INSIDE
            elif not last and start.startswith(stripped):
                self._held = buffer
                return "", ""
            else:
                self._phase = _Phase.INSIDE if self._opened else _Phase.TEXT
        reasoning = ""
        if self._phase is _Phase.INSIDE:
            reasoning, buffer = self._think(buffer, last=last)
        if self._phase is _Phase.AFTER:
            buffer = buffer.lstrip()
            if buffer:
                self._phase = _Phase.TEXT
        return reasoning, buffer if self._phase is _Phase.TEXT else ""

    def _think(self, buffer: str, *, last: bool) -> tuple[str, str]:
        """Return the reasoning so far, and the text after the span."""
        if not self._inside:
            buffer = buffer.lstrip()
        thought, closed, rest = buffer.partition(self._marks.end)
        if closed:
            self._phase = _Phase.AFTER
            thought = thought.rstrip()
        elif not last:
            thought = buffer[: len(buffer) - overlap(buffer, self._marks.end)].rstrip()
            self._held = buffer[len(thought) :]
        self._inside = self._inside or bool(thought)
        return thought, rest

    def _count(self, tokens: int, reasoning: str, text: str) -> None:
        self._pending += tokens
        if text or (self._phase is _Phase.TEXT and not reasoning):
            self._pending = 0
        elif self._phase is not _Phase.LEAD:
            self._tokens += self._pending
            self._pending = 0

    def _counted(self, chunk: TokenChunk) -> TokenChunk:
        usage = chunk.usage
        if usage is None or usage.reasoning_tokens or not self._tokens:
            return chunk
        return replace(chunk, usage=replace(usage, reasoning_tokens=min(self._tokens, usage.completion_tokens)))


def overlap(text: str, mark: str) -> int:
    """Return the number of characters at the end of ``text`` that begin ``mark``, short of all of it."""
    for length in range(min(len(mark) - 1, len(text)), 0, -1):
        if mark.startswith(text[-length:]):
            return length
    return 0


def opens(template: str, marks: Marks) -> bool:
    """Return whether the generation prompt of a chat template opens a span and leaves it open."""
    _, found, tail = template.rpartition("add_generation_prompt")
    return bool(found) and tail.count(marks.start) > tail.count(marks.end)


def spans(marks: Marks, *, opened: bool | None = None) -> TransformFactory:
    """Return a factory of :class:`ReasoningSpans`. ``opened`` None: as the model's chat template says."""

    def make(request: GenerationRequest, info: ModelInfo) -> Transform | None:
        if not isinstance(request.input, Chat):
            return None
        begun = opens(info.template, marks) if opened is None else opened
        continued = request.input.continue_last or not request.input.generation_prompt
        return ReasoningSpans(
            marks,
            opened=begun and request.reasoning is not False and not continued,
            logprobs=request.sampling.logprobs is not None,
        )

    return make


def families() -> dict[str, Callable[[GenerationRequest, ModelInfo], Transform | None]]:
    """Return the built-in factories by the names that ``reasoning_parser`` takes."""
    think = Marks("<think>", "</think>")
    return {
        "think": spans(think),
        "think-opened": spans(think, opened=True),
        "thinking": spans(Marks("<thinking>", "</thinking>")),
        "reasoning": spans(Marks("<reasoning>", "</reasoning>")),
        "seed": spans(Marks("<seed:think>", "</seed:think>")),
        "magistral": spans(Marks("[THINK]", "[/THINK]")),
        "granite": spans(Marks("Here is my thought process:", "Here is my response:")),
    }


__all__ = ("Marks", "ReasoningSpans", "families", "opens", "overlap", "spans")

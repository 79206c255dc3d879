"""Stop strings: matched on text, across chunks, never shown in part."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

from msgspec.structs import replace

from hyperllama.generation import GenerationRequest, TokenChunk, Usage
from hyperllama.models import ModelInfo
from hyperllama.spi import Transform
from hyperllama.text.logprobs import LogprobQueue


class StopStrings:
    """Ends the answer before the stop string that is complete first; of two complete at once, before the longer.

    Text that may be the beginning of a stop string is held back until it is known not to be. On a match the chunk
    gets a finish reason before the engine's own last chunk: the token loop ends the stream there and closes the
    engine's. Its ``usage`` is then made from the tokens that were seen and the prompt's figures on the first chunk;
    None where the first chunk had none, and the token loop makes it.
    Tokens that begin at or after the stop string lose their log probabilities; ``token_ids`` stay what was generated.
    """

    __slots__ = ("_called", "_firsts", "_held", "_length", "_logprobs", "_matchers", "_prompt", "_reasoning", "_tokens")

    def __init__(self, stops: Sequence[str], *, logprobs: bool = False) -> None:
        """Match ``stops``; empty strings match nothing. ``logprobs``: chunks carry them."""
        self._matchers = [_Matcher(stop) for stop in dict.fromkeys(stops) if stop]
        self._firsts = frozenset(matcher.stop[0] for matcher in self._matchers)
        self._held: deque[str] = deque()  # pieces, so that holding back costs each character once
        self._length = 0  # of them together
        self._called = False
        self._prompt: Usage | None = None
        self._tokens = 0
        self._reasoning = 0
        self._logprobs = LogprobQueue() if logprobs else None

    def feed(self, chunk: TokenChunk) -> TokenChunk:
        if not self._tokens:
            self._prompt = chunk.usage
        self._tokens += chunk.tokens
        if chunk.reasoning:
            self._reasoning += chunk.tokens
        if chunk.tool_calls:
            self._called = True
        if not self._held and self._firsts.isdisjoint(chunk.text):
            return chunk
        return self._scan(chunk)

    def _scan(self, chunk: TokenChunk) -> TokenChunk:
        text, end, stop = chunk.text, len(chunk.text), ""
        for matcher in self._matchers:
            found = matcher.advance(text, end)
            if found and (not stop or found < end or len(matcher.stop) > len(stop)):
                end, stop = found, matcher.stop
        before = self._length
        self._held.append(text)
        self._length += len(text)
        if stop:
            return self._end(chunk, self._take(before + end - len(stop)), stop)
        held = max(matcher.state for matcher in self._matchers)
        if held and (chunk.finish_reason is not None or chunk.tool_calls):
            held = 0  # nothing that follows can complete it
            for matcher in self._matchers:
                matcher.state = 0
        return self._shown(chunk, self._take(self._length - held))

    def _take(self, characters: int) -> str:
        """Return the first ``characters`` of the text held back, and hold the rest."""
        self._length -= characters
        taken = []
        while self._held and len(self._held[0]) <= characters:
            taken.append(self._held.popleft())
            characters -= len(taken[-1])
        if characters:
            taken.append(self._held[0][:characters])
            self._held[0] = self._held[0][characters:]
        return "".join(taken)

    def _shown(self, chunk: TokenChunk, text: str) -> TokenChunk:
        if self._logprobs is None:
            return chunk if text == chunk.text else replace(chunk, text=text)
        self._logprobs.add(chunk)
        return replace(chunk, text=text, logprobs=self._logprobs.take(len(text)))

    def _end(self, chunk: TokenChunk, text: str, stop: str) -> TokenChunk:
        return replace(
            self._shown(chunk, text),
            finish_reason="tool_calls" if self._called else "stop",
            usage=self._usage() if chunk.finish_reason is None else chunk.usage,
            tool_calls=(),
            stop_match=stop,
        )

    def _usage(self) -> Usage | None:
        prompt = self._prompt
        if prompt is None:
            return None
        return replace(prompt, completion_tokens=self._tokens, reasoning_tokens=self._reasoning)


class _Matcher:
    """One stop string and how much of it the text ends with (Knuth, Morris, Pratt: each character is read once)."""

    __slots__ = ("_borders", "state", "stop")

    def __init__(self, stop: str) -> None:
        self.stop = stop
        self.state = 0
        self._borders = [0, 0]  # of each prefix; longer ones when a text gets that far

    def advance(self, text: str, end: int) -> int:
        """Return the offset in ``text[:end]`` at which the stop string is first complete; 0: nowhere."""
        stop, state, at = self.stop, self.state, 0
        while at < end:
            if not state:
                at = text.find(stop[0], at, end)
                if at < 0:
                    break
                state = 1
            else:
                character = text[at]
                while state and stop[state] != character:
                    state = self._border(state)
                if stop[state] == character:
                    state += 1
            at += 1
            if state == len(stop):
                return at
        self.state = state
        return 0

    def _border(self, length: int) -> int:
        """Return the length of the longest proper prefix of the first ``length`` characters that is also their end."""
        stop, borders = self.stop, self._borders
        while len(borders) <= length:
            border, last = borders[-1], stop[len(borders) - 1]
            while border and stop[border] != last:
                border = borders[border]
            borders.append(border + (stop[border] == last))
        return borders[length]


def stop_strings(request: GenerationRequest, info: ModelInfo) -> Transform | None:
    """Return the transform for the stop strings of the request or its model; None without any."""
    requested = request.sampling.stop
    stops = info.stop if requested is None else tuple(stop for stop in requested if stop)
    return StopStrings(stops, logprobs=request.sampling.logprobs is not None) if stops else None


__all__ = ("StopStrings", "stop_strings")

"""Log probabilities of text that is held back. Each leaves with the first character of its token."""

from __future__ import annotations

from collections import deque

from hyperllama.generation import TokenChunk, TokenLogprob


class LogprobQueue:
    """One position for each character that was fed and has neither been taken nor dropped."""

    __slots__ = ("_entries",)

    def __init__(self) -> None:
        self._entries: deque[tuple[TokenLogprob | None, int]] = deque()

    def add(self, chunk: TokenChunk) -> None:
        """Queue the tokens of ``chunk``. Those with more text than it has (half a code point each) share it."""
        left = len(chunk.text)
        for position, item in enumerate(chunk.logprobs, 1):
            length = left if position == len(chunk.logprobs) else min(left, len(item.token))
            self._entries.append((item, length))
            left -= length
        if not chunk.logprobs and left:
            self._entries.append((None, left))

    def take(self, characters: int) -> tuple[TokenLogprob, ...]:
        """Advance by ``characters``, and return the log probabilities of the tokens that begin among them."""
        taken, entries = [], self._entries
        while entries:
            item, length = entries[0]
            if length and not characters:
                break
            entries.popleft()
            if item is not None:
                taken.append(item)
            if length > characters:
                entries.appendleft((None, length - characters))
                break
            characters -= length
        return tuple(taken)

    def drop(self, characters: int) -> None:
        """Advance by ``characters`` that are not part of the answer."""
        if characters:
            self.take(characters)


__all__ = ("LogprobQueue",)

"""The end of a JSON value, found while it streams in: each character is read once."""

from __future__ import annotations

import re

_OUTSIDE = re.compile(r"[^\s\w+\-.,:]")  # everything but space, numbers, words and commas
_INSIDE = re.compile(r'["\\]')
_OPEN = {"{": "}", "[": "]"}


class Broken(Exception):
    """Raised where the text stops being JSON; ``at`` is the offset in the text that was fed."""

    def __init__(self, at: int) -> None:
        super().__init__(at)
        self.at = at


class JsonScanner:
    """Follows brackets and quotes, nothing finer: the value it finds still has to be decoded."""

    __slots__ = ("_closing", "_escaped", "_quoted")

    def __init__(self) -> None:
        self._closing: list[str] = []
        self._quoted = False
        self._escaped = False

    def feed(self, text: str, at: int = 0) -> int:
        """Return the offset after the value, -1 while it goes on. The first character fed must open an object or array.

        Raises Broken at a character that no JSON has there.
        """
        while at < len(text):
            if self._escaped:
                self._escaped = False
                at += 1
                continue
            found = (_INSIDE if self._quoted else _OUTSIDE).search(text, at)
            if found is None:
                return -1
            character, at = found.group(), found.end()
            if character == "\\":
                if not self._quoted:
                    raise Broken(at - 1)
                self._escaped = True
            elif character == '"':
                self._quoted = not self._quoted
            elif character in _OPEN:
                self._closing.append(_OPEN[character])
            elif self._closing and character == self._closing[-1]:
                self._closing.pop()
                if not self._closing:
                    return at
            else:
                raise Broken(at - 1)
        return -1


__all__ = ("Broken", "JsonScanner")

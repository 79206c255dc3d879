"""The input of a custom tool, out of the JSON that the model writes: piece by piece, as it comes."""

from __future__ import annotations

import re
from typing import Final

import msgspec

_BEGIN = re.compile(r'\s*\{\s*"input"\s*:\s*"')
_BEGUN = re.compile(r'\s*(?:\{\s*(?:"(?:i(?:n(?:p(?:u(?:t(?:"\s*(?::\s*)?)?)?)?)?)?)?)?)?')
_MOST: Final = 256  # characters before the input
_PLAIN = re.compile(r'[^"\\]*')
_ESCAPES: Final = {"n": "\n", "t": "\t", "r": "\r", "b": "\b", "f": "\f", '"': '"', "\\": "\\", "/": "/"}


class Freeform:
    """The reader of one call's arguments. What is no object with an ``input`` is handed over whole, at the end."""

    def __init__(self) -> None:
        self._all: list[str] = []  # until it is known how it begins
        self._rest = ""  # of an escape that is not whole
        self._inside = False  # the string
        self._done = False  # with the string
        self._odd = False  # it begins in another way

    def feed(self, fragment: str) -> str:
        """Return what ``fragment`` adds to the input."""
        if self._done or self._odd:
            if self._odd:
                self._all.append(fragment)
            return ""
        if self._inside:
            return self._unescaped(self._rest + fragment)
        self._all.append(fragment)
        text = "".join(self._all)
        if (begin := _BEGIN.match(text)) is not None:
            self._inside = True
            return self._unescaped(text[begin.end() :])
        self._odd = len(text) > _MOST or _BEGUN.fullmatch(text) is None
        return ""

    def end(self) -> str:
        """Return what is left of the input when the arguments have ended, however they look."""
        if self._inside or self._done:
            return ""
        return plain("".join(self._all))

    def _unescaped(self, text: str) -> str:
        """Return the characters that ``text`` spells, up to the end of the string; a wrong escape as it is."""
        out: list[str] = []
        at, self._rest = 0, ""
        while at < len(text):
            found = _PLAIN.match(text, at)
            assert found is not None  # noqa: S101 - it matches the empty text
            out.append(found[0])
            at = found.end()
            if at == len(text):
                break
            if text[at] == '"':
                self._inside, self._done = False, True
                break
            size, spelled = _escape(text, at)
            if not size:
                self._rest = text[at:]
                break
            out.append(spelled)
            at += size
        return "".join(out)


def plain(arguments: str) -> str:
    """Return the input in a whole call's arguments: the member ``input``, an only string, or the text itself."""
    try:
        found = msgspec.json.decode(arguments)
    except (msgspec.DecodeError, RecursionError):
        return Freeform().feed(arguments) if _BEGIN.match(arguments) else arguments
    if isinstance(found, str):
        return found
    if isinstance(found, dict):
        if isinstance(found.get("input"), str):
            return str(found["input"])
        texts = [value for value in found.values() if isinstance(value, str)]
        if len(texts) == len(found) == 1:
            return texts[0]
        if not found:
            return ""
    return arguments


def _escape(text: str, at: int) -> tuple[int, str]:
    """Return the length of the escape at ``at`` and its character; 0 if more of it must come."""
    if at + 1 == len(text):
        return 0, ""
    kind = text[at + 1]
    if kind != "u":
        return (2, _ESCAPES[kind]) if kind in _ESCAPES else (2, text[at : at + 2])
    unit = _unit(text, at)
    if unit is None:
        return (0, "") if len(text) < at + 6 else (2, text[at : at + 2])
    if not 0xD800 <= unit <= 0xDBFF:
        return 6, chr(unit) if not 0xDC00 <= unit <= 0xDFFF else "\ufffd"
    if len(text) < at + 12 and "\\u".startswith(text[at + 6 : at + 8]):
        return 0, ""
    low = _unit(text, at + 6) if text[at + 6 : at + 8] == "\\u" else None
    if low is not None and 0xDC00 <= low <= 0xDFFF:
        return 12, chr(0x10000 + ((unit - 0xD800) << 10) + (low - 0xDC00))
    return 6, "\ufffd"


def _unit(text: str, at: int) -> int | None:
    digits = text[at + 2 : at + 6]
    return int(digits, 16) if re.fullmatch("[0-9a-fA-F]{4}", digits) else None


__all__ = ("Freeform", "plain")

"""Regular expressions of JSON Schema (ECMA-262), rewritten to what an engine follows."""

from __future__ import annotations

import math
import re
from functools import lru_cache
from typing import Final

import msgspec

MAX_PATTERN: Final = 4 * 1024  # bytes
MAX_STEPS: Final = 300_000  # of backtracking that a search may take, at worst
_INFINITE: Final = 1 << 30
_BRACES: Final = re.compile(r"\{([0-9]{1,9})(,([0-9]{1,9})?)?\}")
_ESCAPE: Final = re.compile(
    r"\\(?:[dDwWsStnrfv0]|x[0-9a-fA-F]{2}|u[0-9a-fA-F]{4}|u\{[0-9a-fA-F]{1,6}\}|[^A-Za-z0-9])", re.DOTALL
)
_CLASS: Final = re.compile(r"\[\^?(?:\\.|[^\\\]])+(\])?", re.DOTALL)  # one without an end is found, and refused
_SURROGATE: Final = re.compile(r"\\u[dD][89a-fA-F]")
_TOKEN: Final = re.compile(r"\\.|\[\^?(?:\\.|[^\\\]])+\]?", re.DOTALL)
_DOUBTFUL: Final = re.compile(r"\\.|(?<!^)\[|&&|\|\||~~|--", re.DOTALL)  # in a class; Python warns of them
_NAMED: Final = re.compile(r"\(\?P?<[A-Za-z_][A-Za-z0-9_]*>")
_LOOK: Final = ("(?=", "(?!", "(?<=", "(?<!")
_MAX_NESTING: Final = 64
_MANY_WAYS: Final = 1e12
_LONGEST: Final = 16_384  # characters of an example


class Pattern(msgspec.Struct, frozen=True):
    """A pattern that engines follow. They match whole texts, so it holds ``.*`` where the original is open."""

    text: str
    exact: bool  # False: it also takes texts that the original does not
    shortest: int  # characters
    longest: int | None  # None: no limit
    simple: tuple[str, int, int | None] | None  # one atom and its repetition, where it is no more than that
    example: str
    loops: float  # a search tries the text's length to this power of ways, at worst; infinite: exponentially many
    ways: float  # times this many


class _Unknown(Exception):
    """The pattern holds something that no engine follows."""


class _Part(msgspec.Struct):
    low: int
    high: int
    example: str
    loops: float = 0.0
    ways: float = 1.0


@lru_cache(maxsize=256)
def rewritten(pattern: str) -> Pattern | None:
    """Return the pattern for engines; None: it holds what none follows. Linear in its length."""
    if not pattern or len(pattern.encode("utf-8", "surrogatepass")) > MAX_PATTERN:
        return None
    parser = _Parser(pattern)
    try:
        part = parser.alternatives(0)
        if parser.at != len(pattern):
            return None
    except _Unknown:
        return None
    text = "".join(parser.out)
    low, high, simple = part.low, part.high, parser.simple
    if parser.opened and not parser.closed and not parser.branches:
        text, high, simple = f"{text}.*", _INFINITE, None
        part.loops += 1
    return Pattern(
        f"^{text}$" if not parser.branches else f"^(?:{text})$",
        parser.exact,
        low,
        None if high >= _INFINITE else high,
        simple if parser.atoms == 1 and not parser.branches else None,
        part.example,
        part.loops,
        part.ways,
    )


def example_of(pattern: str) -> str | None:
    """Return a text that the pattern takes; None: none is known."""
    found = rewritten(pattern)
    return found.example if found is not None and matches(pattern, found.example) is not False else None


def matches(pattern: str, text: str) -> bool | None:
    """Search ``text`` for the pattern as JSON Schema does; None: that could take too long, or Python cannot do it."""
    found = rewritten(pattern)
    if found is None or _steps(found, len(text)) > MAX_STEPS:
        return None
    try:
        return re.search(_pythonic(pattern), text, re.ASCII) is not None
    except (re.error, OverflowError, RecursionError):
        return None


def _steps(pattern: Pattern, length: int) -> float:
    """Return how many steps a backtracking search takes at most, roughly."""
    if math.isinf(pattern.loops):
        return pattern.ways * 2.0 ** min(length, 64)
    return pattern.ways * math.pow(length + 1, min(pattern.loops + 1, 8))


def _pythonic(pattern: str) -> str:
    """Return the pattern in Python's notation: named groups, code points in braces, and an end that is the end."""
    pattern = re.sub(r"\(\?<(?=[A-Za-z_])", "(?P<", pattern)
    pattern = _TOKEN.sub(_plain_class, pattern)
    pattern = re.sub(r"\\u\{([0-9a-fA-F]{1,6})\}", lambda found: f"\\U{int(found[1], 16):08x}", pattern)
    return pattern[:-1] + r"\Z" if pattern.endswith("$") and not pattern.endswith(r"\$") else pattern


def _plain_class(found: re.Match[str]) -> str:
    text = found[0]
    return text if text[0] == "\\" else _DOUBTFUL.sub(_escaped, text)


def _escaped(found: re.Match[str]) -> str:
    return found[0] if found[0][0] == "\\" else "\\" + "\\".join(found[0])


class _Parser:
    def __init__(self, pattern: str) -> None:
        self._pattern = pattern
        self.at = 0
        self.out: list[str] = []
        self.exact = True
        self.opened = self.closed = self.branches = False
        self.atoms = 0
        self.simple: tuple[str, int, int | None] | None = None

    def alternatives(self, nesting: int) -> _Part:
        if nesting > _MAX_NESTING:
            raise _Unknown
        found = [self._sequence(nesting)]
        while self._peek("|"):
            self.at += 1
            self.out.append("|")
            self.branches = self.branches or not nesting
            found.append(self._sequence(nesting))
        example = next((part.example for part in found if part.example), found[0].example)
        return _Part(
            min(part.low for part in found),
            max(part.high for part in found),
            example,
            max(part.loops for part in found),
            sum(part.ways for part in found),
        )

    def _sequence(self, nesting: int) -> _Part:
        whole = _Part(0, 0, "")
        first = True
        while self.at < len(self._pattern) and self._pattern[self.at] not in "|)":
            mark = self._pattern[self.at]
            if mark == "^":
                self.exact = self.exact and first
                self.opened = self.opened or not nesting
                self.at += 1
                continue
            if mark == "$":
                self.at += 1
                self.exact = self.exact and (self.at == len(self._pattern) or self._pattern[self.at] in "|)")
                self.closed = True
                continue
            first = False
            begun = len(self.out)
            part = self._atom(nesting)
            if part is None:
                continue
            atom = "".join(self.out[begun:])
            width = part.low, part.high
            part, repeat = self._repeated(part)
            if not nesting:
                self.atoms += 1
                self.simple = (atom, *repeat) if width == (1, 1) else None
            whole = _Part(
                min(whole.low + part.low, _INFINITE),
                min(whole.high + part.high, _INFINITE),
                (whole.example + part.example)[:_LONGEST],
                whole.loops + part.loops,
                min(whole.ways * part.ways, _MANY_WAYS),
            )
        return whole

    def _atom(self, nesting: int) -> _Part | None:
        """Read one atom into ``out``; None: one of no width was left out."""
        pattern, at = self._pattern, self.at
        mark = pattern[at]
        if mark == "(":
            return self._group(nesting)
        if mark == "[":
            return self._class()
        if mark == "\\":
            if pattern[at + 1 : at + 2] in ("b", "B"):
                self.at += 2
                self.exact = False
                return None
            found = _ESCAPE.match(pattern, at)
            if found is None or _SURROGATE.match(found[0]):
                raise _Unknown
            self._write(found[0])
            return _Part(1, 1, _example(found[0]))
        if mark in "*+?{":
            raise _Unknown
        self._write(mark)
        return _Part(1, 1, "a" if mark == "." else mark)

    def _group(self, nesting: int) -> _Part | None:
        pattern, at = self._pattern, self.at
        look = next((each for each in _LOOK if pattern.startswith(each, at)), None)
        named = _NAMED.match(pattern, at)
        kept = len(self.out)
        if look is not None:
            self.at += len(look)
        elif named is not None:
            self.at += len(named[0])
        elif pattern.startswith("(?:", at):
            self.at += 3
        elif pattern.startswith("(?", at):
            raise _Unknown
        else:
            self.at += 1
        self.out.append("(?:")
        state = self.opened, self.closed
        part = self.alternatives(nesting + 1)
        self.opened = state[0]
        if not self._peek(")"):
            raise _Unknown
        self.at += 1
        self.out.append(")")
        if look is None:
            return part
        del self.out[kept:]  # what a look around asks for beside the rest is left out
        self.exact, self.closed = False, state[1]
        if self.at < len(pattern) and pattern[self.at] in "*+?{":
            raise _Unknown
        return None

    def _class(self) -> _Part:
        found = _CLASS.match(self._pattern, self.at)
        if found is None or found[1] is None or _SURROGATE.search(found[0]):
            raise _Unknown
        inner = found[0]
        for escape in re.findall(r"\\.(?:\{)?", inner, re.DOTALL):
            if escape[1] != "b" and escape[1].isalnum() and escape[1] not in "dDwWsStnrfv0xu":
                raise _Unknown
        try:
            compiled = re.compile(_pythonic(inner))
        except (re.error, OverflowError):
            raise _Unknown from None
        self._write(inner)
        example = next((sign for sign in _SIGNS if compiled.match(sign)), "")
        if not example:
            raw = re.sub(r"^\[\^?", "", inner)
            example = _example(raw[:6]) if raw.startswith("\\u") else raw[:1]
        return _Part(1, 1, example)

    def _repeated(self, part: _Part) -> tuple[_Part, tuple[int, int | None]]:
        pattern = self._pattern
        low, high = 1, 1
        mark = pattern[self.at : self.at + 1]
        if mark and mark in "*+?":
            self._write(mark)
            low, high = {"*": (0, _INFINITE), "+": (1, _INFINITE), "?": (0, 1)}[mark]
        elif mark == "{":
            found = _BRACES.match(pattern, self.at)
            if found is None:
                raise _Unknown
            self._write(found[0])
            low = int(found[1])
            high = low if found[2] is None else _INFINITE if found[3] is None else int(found[3])
            if low > high:
                raise _Unknown
        else:
            return part, (1, 1)
        if self._peek("?"):  # lazily: the same texts
            self.at += 1
        if pattern[self.at : self.at + 1] in ("*", "+", "?", "{"):
            raise _Unknown
        loops, ways = part.loops, part.ways
        if high >= _INFINITE:
            loops = 1.0 if ways == 1 and not loops and part.low == part.high else math.inf
        elif high > 1 and loops:
            loops = math.inf
        elif low != high or high > 1:
            ways = _MANY_WAYS if math.log10(ways) * high > 12 else min((high - low + 1) * ways**high, _MANY_WAYS)
        times = max(low, min(1, high))
        repeated = _Part(
            min(part.low * low, _INFINITE),
            min(part.high * high, _INFINITE),
            (part.example * min(times, _LONGEST // max(1, len(part.example)) + 1))[:_LONGEST],
            loops,
            ways,
        )
        return repeated, (low, None if high >= _INFINITE else high)

    def _peek(self, mark: str) -> bool:
        return self._pattern.startswith(mark, self.at)

    def _write(self, text: str) -> None:
        self.out.append(text)
        self.at += len(text)


_SIGNS: Final = "abcxyzABC0123456789_-. /:@,;+*#!?()[]{}<>='\"%&$~^|\\\té\n\r\f\v\b\0"


def _example(escape: str) -> str:
    known = {"d": "1", "D": "a", "w": "a", "W": "-", "s": " ", "S": "a", "t": "\t", "n": "\n", "r": "\r", "f": "\f"}
    letter = escape[1]
    if letter in known:
        return known[letter]
    if letter in "xu" and len(escape) > 2:
        return chr(int(escape[2:].strip("{}"), 16))
    return {"v": "\v", "0": "\0"}.get(letter, letter)


__all__ = ("MAX_PATTERN", "Pattern", "example_of", "matches", "rewritten")

"""JSON as Go's decoder reads it: the first value counts, bytes after it do not, and every refusal has Go's sentence."""

from __future__ import annotations

import codecs
import json
import re
from typing import Any, TypeAlias

import msgspec

MAX_DEPTH = 512  # Go stops at 10,000; nothing a client means is deeper than this, and Python's own C code is
_LONG = 4000  # digits of an integer that Python still converts

_PART = 128 * 1024  # bytes that one call into C decodes
_UTF8 = codecs.getincrementaldecoder("utf-8")
_TOKENS = 10_000  # numbers that keep their text: each is one more object for the garbage collector to look at

_SPACE = re.compile(r"[ \t\r\n]*")
_PLAIN = re.compile(r'[^"\\\x00-\x1f]*')
#: A piece of a string, which no surrogate pair reaches across. One call into C for a long string would keep every other
#: thread waiting.
_PIECE = re.compile(
    r'(?:[^"\\\x00-\x1f]{1,64}+|\\(?:["\\/bfnrt]|u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|u[0-9a-fA-F]{4}))'
    r"{1,512}+"
)
_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?")
_HEX = re.compile(r"[0-9a-fA-F]*")
_LONE = re.compile("[\ud800-\udfff]+")

Json: TypeAlias = Any  # a JSON body is what the client made it


class BadJson(ValueError):
    """The body is no JSON; the text is Go's."""


class Number(float):
    """A number that is no plain integer, with the text it was written as."""

    token: str

    def __new__(cls, token: str) -> Number:
        self = super().__new__(cls, token)
        self.token = token
        return self


class Document(msgspec.Struct, frozen=True):
    """A JSON value and, for an object, the text of each member's value."""

    value: Json
    raw: dict[str, str]


def parse(body: bytes, *, tokens: bool = False) -> Document | None:
    """Return the first value in ``body``; None if there is nothing but space. Raise BadJson.

    Of several equal keys the last one counts and takes the last place. Invalid UTF-8 and lone surrogates become U+FFFD.
    ``tokens``: numbers that are no plain integers come as :class:`Number`, the first 10,000 of them.
    """
    text = _decoded(body)
    start = _skip(text, 0)
    if start == len(text):
        return None
    return _Scanner(text, tokens).document(start)


class _Scanner:
    def __init__(self, text: str, tokens: bool) -> None:
        self._text = text
        self._tokens = _TOKENS if tokens else 0
        self._raw: dict[str, str] = {}

    def document(self, at: int) -> Document:
        """Scan the document without recursion, so that depth costs no stack."""
        text = self._text
        stack: list[dict[str, Json] | list[Json]] = []
        keys: list[str] = []
        begun = 0  # of the value of a member of the outermost object
        while True:
            value, at, opened = self._value(at)
            if opened:
                if len(stack) >= MAX_DEPTH:
                    raise _unexpected(text, at - 1, "exceeded max depth")
                stack.append(value)
                at = self._next(at)
                if text[at] == ("}" if isinstance(value, dict) else "]"):
                    at += 1
                    stack.pop()
                elif isinstance(value, dict):
                    key, at = self._key(at)
                    keys.append(key)
                    begun = self._next(at) if len(stack) == 1 else begun
                    continue
                else:
                    continue
            while True:  # a value is complete: put it where it belongs
                if not stack:
                    return Document(value, self._raw)
                top = stack[-1]
                if isinstance(top, dict):
                    key = keys.pop()
                    top.pop(key, None)
                    top[key] = value
                    if len(stack) == 1:
                        self._raw[key] = text[begun:at]
                else:
                    top.append(value)
                at = self._next(at)
                if text[at] == ",":
                    at = self._next(at + 1)
                    if isinstance(top, dict):
                        key, at = self._key(at)
                        keys.append(key)
                        begun = self._next(at) if len(stack) == 1 else begun
                    break
                if text[at] != ("}" if isinstance(top, dict) else "]"):
                    place = "after object key:value pair" if isinstance(top, dict) else "after array element"
                    raise _unexpected(text, at, place)
                at += 1
                value = stack.pop()

    def _next(self, at: int) -> int:
        """Return the next character that is no space. Raise BadJson at the end of the body."""
        at = _skip(self._text, at)
        if at == len(self._text):
            raise BadJson("unexpected EOF")
        return at

    def _key(self, at: int) -> tuple[str, int]:
        if self._text[at] != '"':
            raise _unexpected(self._text, at, "looking for beginning of object key string")
        key, at = self._string(at)
        at = self._next(at)
        if self._text[at] != ":":
            raise _unexpected(self._text, at, "after object key")
        return key, at + 1

    def _value(self, at: int) -> tuple[Json, int, bool]:
        """Return a scalar or an empty container just opened, its end, and whether it was opened."""
        at = self._next(at)
        match self._text[at]:
            case "{":
                return {}, at + 1, True
            case "[":
                return [], at + 1, True
            case '"':
                string, at = self._string(at)
                return string, at, False
            case "t":
                return True, self._literal(at, "true"), False
            case "f":
                return False, self._literal(at, "false"), False
            case "n":
                return None, self._literal(at, "null"), False
            case c if c == "-" or "0" <= c <= "9":
                number, at = self._number(at)
                return number, at, False
        raise _unexpected(self._text, at, "looking for beginning of value")

    def _literal(self, at: int, word: str) -> int:
        for offset in range(1, len(word)):
            if at + offset >= len(self._text):
                raise BadJson("unexpected EOF")
            if self._text[at + offset] != word[offset]:
                raise _unexpected(self._text, at + offset, f"in literal {word} (expecting '{word[offset]}')")
        return at + len(word)

    def _number(self, at: int) -> tuple[Json, int]:
        text = self._text
        found = _NUMBER.match(text, at)
        if found is None:  # a lone minus sign
            raise self._broken(at + 1, "in numeric literal")
        end = found.end()
        after = text[end : end + 1]
        token = found.group()
        if after == "." and "." not in token and "e" not in token.lower():
            raise self._broken(end + 1, "after decimal point in numeric literal")
        if after in ("e", "E") and "e" not in token.lower():
            sign = 1 if text[end + 1 : end + 2] in ("+", "-") else 0
            raise self._broken(end + 1 + sign, "in exponent of numeric literal")
        if token.lstrip("-").isdigit() and len(token) <= _LONG:
            return int(token), end
        if not self._tokens:
            return float(token), end
        self._tokens -= 1
        return Number(token), end

    def _string(self, at: int) -> tuple[str, int]:
        end = at + 1
        pieces: list[str] = []
        while found := _PIECE.match(self._text, end):
            end = found.end()
            piece = found.group()
            if "\\" in piece:
                piece = json.loads(f'"{piece}"')
            pieces.append(piece if piece.isascii() else _LONE.sub(_replaced, piece))
        if self._text[end : end + 1] != '"':
            raise self._bad_string(end)
        return "".join(pieces), end + 1

    def _bad_string(self, at: int) -> BadJson:
        text = self._text
        while True:
            at = _PLAIN.match(text, at).end()  # type: ignore[union-attr]  # matches everywhere, if only nothing
            if text[at : at + 1] != "\\":
                return self._broken(at, "in string literal")
            escape = text[at + 1 : at + 2]
            if escape == "u":
                end = _HEX.match(text, at + 2, at + 6).end()  # type: ignore[union-attr]
                if end < at + 6:
                    return self._broken(end, "in \\u hexadecimal character escape")
                at = end
            elif escape and escape in '"\\/bfnrt':
                at += 2
            else:
                return self._broken(at + 1, "in string escape code")

    def _broken(self, at: int, where: str) -> BadJson:
        if at >= len(self._text):
            return BadJson("unexpected EOF")
        return _unexpected(self._text, at, where)


def _decoded(body: bytes) -> str:
    """Return the text of ``body``; each byte that is no UTF-8 is a lone surrogate."""
    decoder = _UTF8("surrogateescape")
    parts = [decoder.decode(body[at : at + _PART]) for at in range(0, len(body), _PART)]
    return "".join([*parts, decoder.decode(b"", final=True)])


def _replaced(lone: re.Match[str]) -> str:
    return "\ufffd" * len(lone.group())


def _skip(text: str, at: int) -> int:
    return _SPACE.match(text, at).end()  # type: ignore[union-attr]  # matches everywhere, if only nothing


def _unexpected(text: str, at: int, where: str) -> BadJson:
    """Return Go's error, which names the first byte of a character as the code point of that number."""
    char = chr(text[at].encode("utf-8", "surrogateescape")[0])
    shown = {"'": "\\'", '"': '"', "\\": "\\\\", "\a": "\\a", "\b": "\\b", "\f": "\\f", "\n": "\\n"}.get(char)
    shown = shown or {"\r": "\\r", "\t": "\\t", "\v": "\\v"}.get(char)
    if shown is None:
        code = ord(char)
        shown = char if char.isprintable() else f"\\x{code:02x}" if code < 128 else f"\\u{code:04x}"
    return BadJson(f"invalid character '{shown}' {where}")


__all__ = ("MAX_DEPTH", "BadJson", "Document", "Json", "Number", "parse")

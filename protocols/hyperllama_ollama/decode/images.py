"""Bytes in JSON as Go reads them: bare standard base64, and Go's sentence where it stops being that."""

from __future__ import annotations

import base64
import binascii
import re

from hyperllama_ollama.decode.scan import Json
from hyperllama_ollama.decode.shape import Mismatch, Walk

_ALPHABET = re.compile(r"[A-Za-z0-9+/\r\n]*")
_NEWLINES = re.compile(r"[\r\n]*")


def image(walk: Walk, value: Json) -> bytes:
    """Return the bytes of an element of ``images``; empty, with the walk's first error set, if it is not valid."""
    if type(value) is not str:
        walk.mismatch(value, "api.ImageData")
        return b""
    try:
        return decode(value)
    except Mismatch as error:
        walk.first = walk.first or str(error)
        return b""


def decode(text: str) -> bytes:
    """Decode base64. Raise Mismatch with the offset that Go gives."""
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        pass
    offset = _corrupt(text)
    if offset is not None:
        raise Mismatch(f"illegal base64 data at input byte {offset}")
    return base64.b64decode(text)  # line breaks, which Go skips


def _corrupt(text: str) -> int | None:
    """Return the offset at which Go's decoder gives up; None if it does not."""
    end = _ALPHABET.match(text).end()  # type: ignore[union-attr]  # matches everywhere, if only nothing
    inside = (end - text.count("\r", 0, end) - text.count("\n", 0, end)) % 4
    if end == len(text):
        return end - inside if inside else None
    if text[end] != "=" or inside < 2:
        return end
    rest = _NEWLINES.match(text, end + 1).end()  # type: ignore[union-attr]
    if inside == 2:
        if rest == len(text):
            return rest
        if text[rest] != "=":
            return rest - 1
        rest = _NEWLINES.match(text, rest + 1).end()  # type: ignore[union-attr]
    return rest if rest < len(text) else None


__all__ = ("decode", "image")

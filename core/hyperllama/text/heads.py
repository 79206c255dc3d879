"""The head of a tool call, between its mark and its JSON: space, a name, or a name and marks of its own."""

from __future__ import annotations

import msgspec

_LONGEST = 256  # characters; longer is no head
_ARGUMENTS = "[ARGS]"
_NAME = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-./")


class Head(msgspec.Struct, frozen=True):
    """``json`` is the offset of the JSON. ``name``: the tool named before it; None: no name."""

    json: int
    name: str | None = None


class NoHead(msgspec.Struct, frozen=True):
    """The text after the mark is not a call. ``more``: it may still become one."""

    more: bool


def head(text: str, *, named: bool) -> Head | NoHead:
    """Read the beginning of ``text``; ``named``: a name may come first."""
    more = NoHead(len(text) <= _LONGEST)
    begin = _space(text, 0)
    if begin == len(text):
        return more
    if text[begin] in "{[":
        return Head(begin) if begin <= _LONGEST else NoHead(more=False)
    end = begin
    while end < len(text) and text[end] in _NAME:
        end += 1
    if not named or end == begin:
        return NoHead(more=False)
    name, then = text[begin:end], _space(text, end)
    if then == len(text):
        return more
    if text[then] == "[":  # [ARGS], perhaps with [CALL_ID] before
        found = text.find(_ARGUMENTS, then)
        if found < 0:
            return more
        then = _space(text, found + len(_ARGUMENTS))
        if then == len(text):
            return more
    return Head(then, name) if text[then] == "{" and then <= _LONGEST else NoHead(more=False)


def _space(text: str, at: int) -> int:
    return len(text) - len(text[at:].lstrip())


__all__ = ("Head", "NoHead", "head")

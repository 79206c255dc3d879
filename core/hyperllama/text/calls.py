"""Decoding of tool calls as models write them in JSON."""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence
from typing import NoReturn

import msgspec


class _Written(msgspec.Struct):
    """``{"name": …, "arguments": …}`` and its dialects; empty: not written."""

    name: str = ""
    arguments: msgspec.Raw = msgspec.Raw()
    parameters: msgspec.Raw = msgspec.Raw()
    function: msgspec.Raw = msgspec.Raw()


Calls = list[tuple[str, str]]


def decode(text: str, *, name: str | None = None, known: Collection[str] | None = None) -> Calls | None:
    """Return name and arguments (JSON text of an object) of each call in ``text``; None when it holds no calls.

    ``name``: ``text`` is that tool's arguments alone. ``known``: calls of other tools do not count.
    """
    try:
        calls = _read(text, name)
    except (msgspec.MsgspecError, RecursionError):
        calls = _read_loosely(text, name)
    if not calls or any(not called or (known is not None and called not in known) for called, _ in calls):
        return None
    return calls


def _read(text: str, name: str | None) -> Calls | None:
    if name is not None:
        arguments = _arguments(text.encode())
        return None if arguments is None else [(name, arguments)]
    several = text.lstrip().startswith("[")
    return _calls(
        msgspec.json.decode(text, type=list[_Written]) if several else [msgspec.json.decode(text, type=_Written)]
    )


def _calls(written: Sequence[_Written]) -> Calls | None:
    calls: Calls = []
    for item in written:
        name, call = item.name, item
        if bytes(item.function):
            inner = msgspec.json.decode(item.function, type=_Written | str)
            name, call = (inner, item) if isinstance(inner, str) else (inner.name, inner)
        arguments = _arguments(bytes(call.arguments) or bytes(call.parameters))
        if arguments is None:
            return None
        calls.append((name, arguments))
    return calls


def _arguments(raw: bytes) -> str | None:
    """Return the arguments as written, if they are an object; missing ones are an empty object."""
    if not raw:
        return "{}"
    value: object = msgspec.json.decode(raw)
    match value:
        case None:
            return "{}"
        case dict():
            return raw.decode().strip()
        case str():  # encoded twice
            return value.strip() if isinstance(msgspec.json.decode(value), dict) else None
        case _:
            return None


def _read_loosely(text: str, name: str | None) -> Calls | None:
    """Read JSON with real line ends in its strings, which JSON forbids and models write."""
    try:
        value = json.loads(text, strict=False, parse_constant=_refuse)
        return _read(json.dumps(value, ensure_ascii=False), name)
    except (ValueError, msgspec.MsgspecError, RecursionError):
        return None


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is not JSON")


__all__ = ("Calls", "decode")

"""A request body becomes plain JSON values here, or one clear refusal."""

from __future__ import annotations

import asyncio
import json
import math
import re
from typing import Any

from litestar import Request

from hyperllama.errors import InvalidRequest
from hyperllama.server.zstd import inflated

MAX_DEPTH = 64
MAX_CONTAINERS = 200_000  # objects and arrays; each costs many times its bytes of JSON once parsed
MAX_VALUES = 2_000_000
_THREAD_FROM = 256 * 1024  # bytes; parsing more than this would be felt by other requests
_STRING = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"', re.DOTALL)
_ONE_KIND = bytes.maketrans(b"{}", b"[]")
_NO_MARKS = bytes(set(range(256)) - set(b"[]{},"))
_SUSPECT = re.compile(rb"\\u[dD][89a-fA-F]|\d{19}|[eE]\+?\d{3}")
_PIECE = 128 * 1024
_MARK = 32  # bytes; no mark of the suspect is longer
_FORMS = frozenset({"multipart/form-data"})


async def read_json(request: Request[Any, Any, Any]) -> object:
    """The body of ``request`` as dicts, lists, strings, numbers. Raises InvalidRequest.

    Of content types only form uploads are refused: curl calls JSON something else unless told otherwise.
    """
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind in _FORMS:
        raise InvalidRequest("Unsupported Media Type: send the request as application/json.")
    raw = await request.body()
    if request.headers.get("content-encoding", "").strip().lower() == "zstd":
        return await asyncio.to_thread(lambda: parse_json(inflated(raw)))
    if len(raw) >= _THREAD_FROM:
        return await asyncio.to_thread(parse_json, raw)
    return parse_json(raw)


def parse_json(raw: bytes) -> object:
    """JSON text to plain values, strictly.

    Refused beside what is no JSON: nesting over 64, millions of values, a key given twice, bytes that are no UTF-8,
    a byte order mark, lone surrogates, NaN and infinities, integers over 64 bits. Raises InvalidRequest.
    """
    if not raw.strip():
        raise InvalidRequest("The request body is empty; send a JSON object.")
    _check_shape(raw)
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError as error:
        raise InvalidRequest(f"The request body is not valid UTF-8 (byte {error.start}).") from error
    try:
        value: object = json.loads(text, object_pairs_hook=_object, parse_constant=_constant)
    except InvalidRequest:
        raise
    except json.JSONDecodeError as error:
        where = f"line {error.lineno} column {error.colno}"
        raise InvalidRequest(f"We could not parse the JSON body of your request: {error.msg} at {where}.") from error
    except (ValueError, RecursionError) as error:  # an integer of thousands of digits
        raise InvalidRequest("We could not parse the JSON body of your request: a number is too long.") from error
    if _suspicious(raw):
        _check_leaves(value)
    return value


def nests_deeper(value: object, limit: int) -> bool:
    """Whether objects and arrays are nested in more than ``limit`` levels; ``value`` itself is the first."""
    level = [value]
    for _ in range(limit):
        level = [
            child
            for node in level
            for child in (node.values() if isinstance(node, dict) else node if isinstance(node, list) else ())
            if isinstance(child, dict | list)
        ]
        if not level:
            return False
    return True


def _suspicious(raw: bytes) -> bool:
    """Whether the leaves must be looked at. In pieces: while it runs, a search holds every other thread up."""
    return any(_SUSPECT.search(raw, at, at + _PIECE + _MARK) for at in range(0, len(raw), _PIECE))


def _check_shape(raw: bytes) -> None:
    """How deep and how many, before anything is built: all in C, since a bomb must not hold other requests up."""
    if raw.count(b"[") + raw.count(b"{") <= MAX_DEPTH and raw.count(b",") <= MAX_VALUES:
        return
    marks = _STRING.sub(b"", raw).translate(_ONE_KIND, _NO_MARKS)
    if marks.count(b",") > MAX_VALUES or marks.count(b"[") > MAX_CONTAINERS:
        raise InvalidRequest("The JSON body holds too many values.")
    brackets = marks.translate(None, b",")
    for _ in range(MAX_DEPTH):  # innermost pairs are taken out, a level a round
        inner = brackets.replace(b"[]", b"")
        if len(inner) == len(brackets):
            break
        brackets = inner
    # What is left without being too deep is unbalanced, and the parser will say where.
    if b"[]" in brackets or b"[" * (MAX_DEPTH + 1) in brackets:
        raise InvalidRequest(f"The JSON body is nested too deeply; {MAX_DEPTH} levels are the limit.")


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        seen: set[str] = set()
        for key, _ in pairs:
            if key in seen:
                raise InvalidRequest(f"The JSON body gives the key {_shown(key)} twice in one object.")
            seen.add(key)
    return found


def _constant(name: str) -> object:
    raise InvalidRequest(f"We could not parse the JSON body of your request: {name} is not JSON.")


def _check_leaves(value: object) -> None:
    """What json.loads lets through and no engine could be sent. Iterative; the depth is already known to be small."""
    waiting = [value]
    while waiting:
        match waiting.pop():
            case dict() as object_:
                waiting.extend(object_.keys())
                waiting.extend(object_.values())
            case list() as array:
                waiting.extend(array)
            case str() as text:
                try:
                    text.encode("utf-8")
                except UnicodeEncodeError as error:
                    raise InvalidRequest("The JSON body holds half of a surrogate pair in a string.") from error
            case bool():
                pass
            case int() as number if not -(2**63) <= number < 2**64:
                raise InvalidRequest("The JSON body holds an integer of more than 64 bits.")
            case float() as number if not math.isfinite(number):
                raise InvalidRequest("The JSON body holds a number that is out of range.")
            case _:
                pass


def _shown(key: str) -> str:
    return json.dumps(key[:80])


__all__ = ("MAX_CONTAINERS", "MAX_DEPTH", "MAX_VALUES", "nests_deeper", "parse_json", "read_json")

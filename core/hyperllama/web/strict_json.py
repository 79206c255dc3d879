"""JSON text as plain values, strictly, and without holding other threads up however large the text is."""

from __future__ import annotations

import json
import math
import re
from typing import Any

from hyperllama.config import BodyLimits
from hyperllama.errors import InvalidRequest

MAX_DEPTH = 64
_PIECE = 128 * 1024  # bytes that one call into C reads; another thread runs between two
_MARK = 32  # bytes; no mark of a suspect leaf is longer
_SUSPECT = re.compile(rb"\\u[dD][89a-fA-F]|\d{19}|[eE]\+?\d{3}")
_ONE_KIND = bytes.maketrans(b"{}", b"[]")
_NO_MARKS = bytes(set(range(256)) - set(b"[]{},:"))
_MANY_VALUES = 50_000
_MAX_FLAT = 16_384  # members of an object in a row without a nested value: one call into C reads them all
_DEFAULTS = BodyLimits()


def parse_json(raw: bytes, limits: BodyLimits = _DEFAULTS) -> object:
    """Return the JSON value that ``raw`` spells. Blocks about 0.1 s per MB at worst, other threads run meanwhile.

    Raise InvalidRequest for what is no JSON and, beside that, for nesting over 64 levels, more values than ``limits``
    allows, a key given twice, bytes that are no UTF-8, a byte order mark, lone surrogates, NaN and infinities, and
    integers over 64 bits.
    """
    if not raw.strip():
        raise InvalidRequest("The request body is empty; send a JSON object.")
    _check_shape(raw, limits)
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError as error:
        raise InvalidRequest(f"The request body is not valid UTF-8 (byte {error.start}).") from error
    # A function of Python's for each number lets other threads in; C alone would hold them up for all of them.
    many = raw.count(b",") > _MANY_VALUES
    try:
        value: object = json.loads(
            text,
            object_pairs_hook=_object,
            parse_constant=_constant,
            parse_int=_integer if many else None,
            parse_float=_float if many else None,
        )
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
    """Return True if objects and arrays are nested in more than ``limit`` levels; ``value`` itself is the first."""
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


def json_excess(raw: bytes, limits: BodyLimits) -> str:
    """Return what the JSON ``raw`` has more of than ``limits`` allows, as "100 values"; empty: nothing. Linear."""
    if (
        raw.count(b"[") + raw.count(b"{") <= limits.containers
        and raw.count(b",") < limits.values
        and raw.count(b":") <= min(limits.members, _MAX_FLAT)
    ):
        return ""
    marks = _structure(raw)
    for noun, found, limit in (
        ("values", marks.count(b",") + 1, limits.values),
        ("members of objects", marks.count(b":"), limits.members),
        ("arrays and objects", marks.count(b"["), limits.containers),
    ):
        if found > limit:
            return f"{limit} {noun}"
    if marks.count(b":") > _MAX_FLAT and any(run.count(b":") > _MAX_FLAT for run in _runs(marks)):
        return f"{_MAX_FLAT} members of one object"
    return ""


def _runs(marks: bytes) -> list[bytes]:
    """Return the commas and colons between brackets."""
    return marks.replace(b"]", b"[").split(b"[")


def _suspicious(raw: bytes) -> bool:
    """Return True if the leaves must be looked at."""
    return any(_SUSPECT.search(raw, at, at + _PIECE + _MARK) for at in range(0, len(raw), _PIECE))


def _check_shape(raw: bytes, limits: BodyLimits) -> None:
    """Count depth, containers, members and values before anything is built."""
    if excess := json_excess(raw, limits):
        raise InvalidRequest(f"The JSON body holds too many values: at most {excess} are allowed.")
    if raw.count(b"[") + raw.count(b"{") <= MAX_DEPTH:
        return
    marks = _structure(raw)
    brackets = marks.translate(None, b",:")
    for _ in range(MAX_DEPTH):  # innermost pairs are taken out, a level a round
        inner = brackets.replace(b"[]", b"")
        if len(inner) == len(brackets):
            break
        brackets = inner
    # What is left without being too deep is unbalanced, and the parser will say where.
    if b"[]" in brackets or b"[" * (MAX_DEPTH + 1) in brackets:
        raise InvalidRequest(f"The JSON body is nested too deeply; {MAX_DEPTH} levels are the limit.")


def _structure(raw: bytes) -> bytes:
    """Return the brackets (of one kind), commas and colons outside strings, in pieces so that other threads run."""
    found: list[bytes] = []
    at, inside = 0, 0
    while at < len(raw):
        piece = raw[at : at + _PIECE]
        if (len(piece) - len(piece.rstrip(b"\\"))) % 2:  # an escape stays whole
            piece = raw[at : at + _PIECE + 1]
        at += len(piece)
        between = piece.replace(b"\\\\", b"").replace(b'\\"', b"").split(b'"')
        found.append(b"".join(between[inside::2]).translate(_ONE_KIND, _NO_MARKS))
        inside ^= (len(between) - 1) % 2
    return b"".join(found)


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        seen: set[str] = set()
        for key, _ in pairs:
            if key in seen:
                raise InvalidRequest(f"The JSON body gives the key {json.dumps(key[:80])} twice in one object.")
            seen.add(key)
    return found


def _integer(text: str) -> int:
    return int(text)


def _float(text: str) -> float:
    return float(text)


def _constant(name: str) -> object:
    raise InvalidRequest(f"We could not parse the JSON body of your request: {name} is not JSON.")


def _check_leaves(value: object) -> None:
    """Refuse what json.loads lets through and no engine could be sent. Iterative; the depth is known to be small."""
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


__all__ = ("MAX_DEPTH", "json_excess", "nests_deeper", "parse_json")

"""Bodies read as Go would read them: keys in any case, null for absent, Go's sentence for a wrong type."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

import msgspec

from hyperllama.config import BodyLimits
from hyperllama.errors import InvalidRequest
from hyperllama_ollama.decode import bounds, scan
from hyperllama_ollama.decode.bounds import Counted, Counts
from hyperllama_ollama.decode.scan import BadJson, Json, Number

Read: TypeAlias = Callable[["Walk", Json], Any]
Fields: TypeAlias = Mapping[str, Read]

LIMITS = BodyLimits()  # the defaults of [body]
_FAST = msgspec.json.Decoder()


class Mismatch(Exception):
    """A value of the wrong type; the text is Go's."""


class _Ambiguous(Exception):
    """Two keys that differ only in case: the scanner knows which came last, the fast decoder does not."""


class Walk:
    """The reading of a body. After a wrong type it reads on, as Go does, and reports the first.

    ``ordered``: objects list their members in the order in which they were last written.
    """

    __slots__ = ("counts", "first", "ordered", "path", "struct")

    def __init__(self, struct: str, *, ordered: bool, counts: Counts) -> None:
        self.counts = counts
        self.first: str | None = None
        self.path: list[str] = []
        self.struct = struct
        self.ordered = ordered

    def mismatch(self, value: Json, wanted: str, *, numeric: bool = False) -> None:
        if self.first is None:
            where = f"Go struct field {self.struct}.{'.'.join(self.path)}" if self.path else "Go value"
            self.first = f"json: cannot unmarshal {_kind(value, numeric=numeric)} into {where} of type {wanted}"

    def end(self) -> None:
        if self.first is not None:
            raise Mismatch(self.first)


class Body(msgspec.Struct, frozen=True):
    """The fields that a body has, by their names, and the body itself."""

    fields: dict[str, Any]
    raw: bytes

    def written(self, field: str) -> str:
        """Return the text that ``field`` was written as."""
        document = scan.parse(self.raw)
        members = document.raw if document is not None else {}
        return next((text for key, text in reversed(members.items()) if key.casefold() == field), "")


def read(raw: bytes, name: str, fields: Fields, *, limits: BodyLimits = LIMITS) -> Body:
    """Return the fields of a body. ``name`` is the Go type, without its package; ``limits`` is ``[body]``.

    Every body of the dialect passes here: what it may hold is checked before it is parsed. Raise InvalidRequest, with
    Go's sentence where the body is not what Go could read.
    """
    bounds.check(raw, limits)
    try:
        return Body(_whole(_FAST.decode(raw), name, fields, limits, ordered=False), raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, Mismatch, _Ambiguous):
        pass  # the scanner reads what only Go accepts, and words what no decoder accepts
    try:
        document = scan.parse(raw, tokens=True)
        if document is None:
            raise InvalidRequest("missing request body")
        _whole(document.value, name, fields, limits, ordered=True)
        plain = scan.parse(raw)
        return Body(_whole(plain.value if plain is not None else None, name, fields, limits, ordered=True), raw)
    except (BadJson, Mismatch) as error:
        raise InvalidRequest(str(error)) from error


def members(walk: Walk, value: Json, fields: Fields, type_: str) -> dict[str, Any]:
    """Read the members of ``value`` that ``fields`` names; unknown ones and nulls are left out."""
    if not isinstance(value, dict):
        walk.mismatch(value, type_)
        return {}
    outer, walk.struct = walk.struct, type_.partition(".")[2]
    found: dict[str, Any] = {}
    seen: set[str] = set()
    for key, item in value.items():
        field = key if key in fields else key.casefold()
        reader = fields.get(field)
        if reader is None:
            continue
        if field in seen and not walk.ordered:
            raise _Ambiguous
        seen.add(field)
        if item is None:
            found.pop(field, None)
            continue
        walk.path.append(field)
        found[field] = reader(walk, item)
        walk.path.pop()
    walk.struct = outer
    return found


def string(walk: Walk, value: Json) -> str:
    if type(value) is str:
        return value
    walk.mismatch(value, "string")
    return ""


def boolean(walk: Walk, value: Json) -> bool:
    if type(value) is bool:
        return value
    walk.mismatch(value, "bool")
    return False


def integer(walk: Walk, value: Json) -> int:
    if type(value) is int and -(2**63) <= value < 2**63:
        return value
    walk.mismatch(value, "int", numeric=True)
    return 0


def anything(walk: Walk, value: Json) -> Json:
    """Return a value of any type, as Go's ``any``: each number must be a float64; a long integer becomes one here."""
    if isinstance(value, int | float):
        return _float64(walk, value)
    waiting = [value]
    while waiting:
        found = waiting.pop()
        items = found.items() if isinstance(found, dict) else enumerate(found) if isinstance(found, list) else ()
        for key, item in list(items):
            if isinstance(item, dict | list):
                waiting.append(item)
            elif isinstance(item, int | float):
                found[key] = _float64(walk, item)
    return value


def mapping(walk: Walk, value: Json) -> dict[str, Json]:
    if type(value) is dict:
        return {key: item for key, item in anything(walk, value).items() if item is not None}
    walk.mismatch(value, "map[string]interface {}")
    return {}


def list_of(read_item: Read, type_: str, *, zero: object, counted: Counted | None = None) -> Read:
    """Return a reader of arrays; ``read_item`` reads elements, null ones are ``zero``. ``counted``: their bound."""

    def read_list(walk: Walk, value: Json) -> tuple[Any, ...]:
        if not isinstance(value, list):
            walk.mismatch(value, type_)
            return ()
        if counted is not None:
            walk.counts.add(counted, len(value))
        return tuple(zero if item is None else read_item(walk, item) for item in value)

    return read_list


def _float64(walk: Walk, value: int | float) -> int | float:
    if isinstance(value, float):
        if not math.isfinite(value):
            walk.mismatch(value, "float64", numeric=True)
        return value
    if -(2**63) <= value < 2**64:
        return value
    if value.bit_length() > 1023:
        walk.mismatch(value, "float64", numeric=True)
        return 0.0
    return float(value)


def _whole(value: Json, name: str, fields: Fields, limits: BodyLimits, *, ordered: bool) -> dict[str, Any]:
    walk = Walk(name, ordered=ordered, counts=Counts(limits))
    found = members(walk, value, fields, f"api.{name}") if value is not None else {}
    walk.end()
    return found


def _kind(value: Json, *, numeric: bool) -> str:
    match value:
        case bool():
            return "bool"
        case str():
            return "string"
        case dict():
            return "object"
        case list():
            return "array"
        case Number():
            return f"number {value.token}" if numeric else "number"
    return f"number {value}" if numeric else "number"


__all__ = (
    "LIMITS",
    "Body",
    "Fields",
    "Mismatch",
    "Read",
    "Walk",
    "anything",
    "boolean",
    "integer",
    "list_of",
    "mapping",
    "members",
    "read",
    "string",
)

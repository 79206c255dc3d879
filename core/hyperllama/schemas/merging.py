"""The constraints of several schemas that all hold at once, keyword by keyword."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any, Final, NamedTuple

from hyperllama.schemas.limits import MAX_REPEAT
from hyperllama.schemas.pointers import Source

TYPES: Final = ("string", "integer", "number", "boolean", "null", "array", "object")
WORDS: Final = {
    **{name: name for name in TYPES},
    "str": "string",
    "text": "string",
    "int": "integer",
    "int32": "integer",
    "int64": "integer",
    "long": "integer",
    "float": "number",
    "double": "number",
    "decimal": "number",
    "bool": "boolean",
    "none": "null",
    "list": "array",
    "dict": "object",
    "map": "object",
    "record": "object",
}
ANY: Final = frozenset({"any", "mixed", "unknown", "type_unspecified"})
REFERENCES: Final = ("$ref", "$dynamicRef", "$recursiveRef")
_COUNTS: Final = ("minLength", "maxLength", "minItems", "maxItems", "minProperties", "maxProperties")
_STRINGS: Final = frozenset({"minLength", "maxLength", "pattern", "format"})
_NUMBERS: Final = frozenset({"minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"})
ARRAYS: Final = frozenset(
    {"items", "prefixItems", "additionalItems", "unevaluatedItems", "minItems", "maxItems", "uniqueItems", "contains"}
)
OBJECTS: Final = frozenset(
    {"properties", "required", "additionalProperties", "unevaluatedProperties", "patternProperties", "propertyNames"}
) | {"minProperties", "maxProperties", "dependentRequired", "dependentSchemas", "dependencies"}
_GROUPS: Final = ("anyOf", "oneOf")
#: Keywords that are never enforced, whatever the type.
_FREE: Final = ("not", "if")
KNOWN: Final = (
    frozenset({"type", "enum", "const", "allOf", *REFERENCES, *_GROUPS, *_FREE})
    | _STRINGS
    | _NUMBERS
    | ARRAYS
    | OBJECTS
)

Loosen = Callable[..., None]


class Group(NamedTuple):
    """Alternatives, of which one must hold."""

    keyword: str
    source: Source
    options: list[Any]


class Extra(NamedTuple):
    """A schema's own word about members that it does not declare."""

    source: Source
    keyword: str
    value: Any
    own: frozenset[str]  # names that it declares


class Merged:
    """The keywords that hold for one value. ``loosen`` is called with the source and the keyword that cannot hold."""

    def __init__(self, loosen: Loosen, *, outermost: Source | None = None) -> None:
        self._loosen = loosen
        self.outermost = outermost  # the schema that brought in all others, if one did
        self.types: set[str] | None = None
        self.implied: set[str] = set()  # kinds of value that keywords speak of
        self.values: list[Any] | None = None
        self.groups: list[Group] = []
        self.bounds: dict[str, list[tuple[float | int, Source]]] = {}
        self.patterns: list[tuple[str, Source]] = []
        self.formats: list[tuple[str, Source]] = []
        self.properties: dict[str, list[Source]] = {}
        self.required: dict[str, Source] = {}
        self.extras: list[Extra] = []
        self.by_pattern: dict[str, list[Source]] = {}
        self.names: list[Source] = []
        self.arrays: list[tuple[list[Source], Source | None]] = []
        self.contains: list[Source] = []
        self.unique: list[Source] = []
        self.dependent: list[tuple[Source, str]] = []

    def add(self, source: Source) -> None:
        schema: dict[str, Any] = source.schema
        keys = KNOWN & schema.keys()
        for kind, words in (("string", _STRINGS), ("number", _NUMBERS), ("array", ARRAYS), ("object", OBJECTS)):
            if keys & words:
                self.implied.add(kind)
        if "type" in keys:
            self._type(source)
        self._enumerated(source, keys)
        for key in _GROUPS:
            if key in keys:
                options = schema[key]
                if isinstance(options, list) and options:
                    self.groups.append(Group(key, source, options))
                else:
                    self._loosen(source, key)
        if "not" in keys and schema["not"] is not False:
            self._loosen(source, "not")
        if "if" in keys and schema.keys() & {"then", "else"}:
            self._loosen(source, "if")
        if keys & _NUMBERS:
            self._numbers(source)
        for key in _COUNTS:
            if key in keys:
                self._count(source, key)
        if keys & _STRINGS:
            self._strings(source)
        if keys & ARRAYS:
            self._array(source)
        if keys & OBJECTS:
            self._object(source)

    def low(self, key: str) -> tuple[Any, Source] | None:
        """Return the largest of the bounds of that name."""
        return max(self.bounds.get(key, ()), key=lambda found: found[0], default=None)

    def high(self, key: str) -> tuple[Any, Source] | None:
        """Return the smallest of the bounds of that name."""
        return min(self.bounds.get(key, ()), key=lambda found: found[0], default=None)

    def _type(self, source: Source) -> None:
        written = source.schema["type"]
        found: set[str] = set()
        for word in written if isinstance(written, list) else [written]:
            lower = word.lower() if isinstance(word, str) else ""
            if lower in ANY:
                return
            if lower not in WORDS:
                self._loosen(source, "type")
                return
            found.add(WORDS[lower])
        if "number" in found:
            found.discard("integer")
        if not found:
            self._loosen(source, "type")
        elif self.types is None:
            self.types = found
        else:
            both = self.types & found
            if {"number", "integer"} <= self.types | found and "number" not in both:
                both.add("integer")
            self.types = both

    def _enumerated(self, source: Source, keys: frozenset[str] | set[str]) -> None:
        for key in keys & {"enum", "const"}:
            values = source.schema[key] if key == "enum" else [source.schema[key]]
            if not isinstance(values, list) or not values:
                self._loosen(source, key)
            elif self.values is None:
                self.values = list(values)
            else:
                known = {spelled(value) for value in values}
                self.values = [value for value in self.values if spelled(value) in known]

    def _numbers(self, source: Source) -> None:
        schema = source.schema
        for key in _NUMBERS & schema.keys():
            value = schema[key]
            if isinstance(value, bool) and key.startswith("exclusive"):  # of draft 4: about the bound beside it
                continue
            if isinstance(value, bool) or not (
                isinstance(value, int) or (isinstance(value, float) and math.isfinite(value))
            ):
                self._loosen(source, key)
                continue
            apart = f"exclusive{key.capitalize()}"
            draft4 = key in ("minimum", "maximum") and schema.get(apart) is True
            self.bounds.setdefault(apart if draft4 else key, []).append((value, source))

    def _count(self, source: Source, key: str) -> None:
        value = source.schema[key]
        if isinstance(value, bool) or not isinstance(value, int | float) or value < 0 or value % 1:
            self._loosen(source, key)
        elif value > MAX_REPEAT:
            self._loosen(source, key, checked=key.startswith("max"))
        else:
            self.bounds.setdefault(key, []).append((int(value), source))

    def _strings(self, source: Source) -> None:
        for key, found in (("pattern", self.patterns), ("format", self.formats)):
            if key in source.schema:
                if isinstance(source.schema[key], str):
                    found.append((source.schema[key], source))
                else:
                    self._loosen(source, key)

    def _array(self, source: Source) -> None:
        schema = source.schema
        prefix, rest = schema.get("prefixItems"), "items"
        if isinstance(schema.get("items"), list):
            prefix, rest = schema["items"], "additionalItems"
        elif "items" not in schema:
            rest = "unevaluatedItems"
        key = "items" if rest == "additionalItems" else "prefixItems"
        listed = [Source(value, source.below(key, at)) for at, value in enumerate(_list(prefix))]
        if listed or rest in schema:
            self.arrays.append((listed, Source(schema[rest], source.below(rest)) if rest in schema else None))
        if "contains" in schema:
            if schema.get("minContains") != 0:
                self.contains.append(source)
            elif "maxContains" in schema:
                self._loosen(source, "contains")
        if schema.get("uniqueItems") is True:
            self.unique.append(source)

    def _object(self, source: Source) -> None:
        schema = source.schema
        properties = _dict(schema.get("properties"))
        for name, value in properties.items():
            self.properties.setdefault(name, []).append(Source(value, source.below("properties", name)))
        required = schema.get("required", [])
        if isinstance(required, list) and all(isinstance(name, str) for name in required):
            for name in required:
                self.required.setdefault(name, source)
        elif required is not False:
            self._loosen(source, "required")
        patterns = _dict(schema.get("patternProperties"))
        for pattern, value in patterns.items():
            self.by_pattern.setdefault(pattern, []).append(Source(value, source.below("patternProperties", pattern)))
        for key in ("additionalProperties", "unevaluatedProperties"):
            if key in schema:
                self.extras.append(Extra(source, key, schema[key], frozenset(properties)))
                break  # what is additional is evaluated
        if "propertyNames" in schema:
            self.names.append(Source(schema["propertyNames"], source.below("propertyNames")))
        for key in ("dependentRequired", "dependentSchemas", "dependencies"):
            if schema.get(key):
                self.dependent.append((source, key))


def spelled(value: Any) -> str:
    """Return a text that is the same for equal JSON values."""
    return "".join(_spelled(value))


def _spelled(value: Any) -> Iterator[str]:
    match value:
        case bool() | None:
            yield repr(value)
        case int() | float():
            yield repr(int(value)) if value == value // 1 else repr(value)
        case dict():
            yield "{"
            for key in sorted(value):
                yield repr(key)
                yield from _spelled(value[key])
            yield "}"
        case list():
            yield "["
            for item in value:
                yield from _spelled(item)
                yield ","
            yield "]"
        case _:
            yield repr(value)


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _dict(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


__all__ = ("ANY", "ARRAYS", "KNOWN", "OBJECTS", "REFERENCES", "TYPES", "WORDS", "Extra", "Group", "Merged", "spelled")

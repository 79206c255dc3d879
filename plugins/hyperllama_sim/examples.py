"""A value that a JSON schema accepts, where that is simple."""

from __future__ import annotations

from typing import Any

from hyperllama.errors import UnsupportedFeature
from hyperllama.schemas import enforced, example_of

_DEPTH = 24
_SHORT = 16  # levels left, beneath which the shortest way out is taken


def example(schema: dict[str, Any] | bool, word: str) -> object:
    """Return a value that ``schema`` accepts. ``word`` fills strings. Raise UnsupportedFeature if none is found."""
    if isinstance(schema, bool):
        return _value(schema, word, {}, _DEPTH)
    followed = enforced(schema).schema
    return _value(followed, word, followed.get("$defs", {}), _DEPTH)


def _value(schema: dict[str, Any] | bool, word: str, known: dict[str, Any], depth: int) -> object:
    if schema is False or depth == 0:
        raise UnsupportedFeature("the sim engine finds no value for this JSON schema", param="output")
    if schema is True:
        return word
    if "enum" in schema:
        return schema["enum"][0]
    if "$ref" in schema:
        return _value(known[schema["$ref"].rpartition("/")[2]], word, known, depth - 1)
    if options := schema.get("anyOf"):
        flat = [option for option in options if not {"$ref", "anyOf", "properties"} & option.keys()]
        chosen = flat[0] if flat and depth < _SHORT else options[0]
        return _value(chosen, word, known, depth - 1)
    kind = schema.get("type", "string")
    kind = kind[0] if isinstance(kind, list) else kind
    match kind:
        case "object":
            return _object(schema, word, known, depth)
        case "array":
            return _array(schema, word, known, depth)
        case "integer" | "number":
            return _number(schema, kind)
        case "boolean":
            return True
        case "null":
            return None
        case _:
            return _string(schema, word)


def _object(schema: dict[str, Any], word: str, known: dict[str, Any], depth: int) -> dict[str, object]:
    properties: dict[str, Any] = schema.get("properties", {})
    required: list[str] = schema.get("required", [])
    names = [name for name in properties if name in required]
    least = max(schema.get("minProperties", 0), 0 if required or depth < _SHORT else len(properties))
    least = min(least, schema.get("maxProperties", least))
    names += [name for name in properties if name not in required][: max(0, least - len(names))]
    found = {name: _value(properties[name], word, known, depth - 1) for name in names}
    others: Any = schema.get("additionalProperties", True)
    keys = [f"{word}{number}" for number in range(least - len(found))]
    if keys and (patterns := schema.get("patternProperties")):
        ((pattern, others),) = patterns.items()
        keys = [str(_string({"pattern": pattern}, word))]
    elif keys and (limits := schema.get("propertyNames")):
        keys = limits.get("enum", [_value(limits, word, known, depth - 1)])[: len(keys)]
    return {**found, **{key: _value(others, word, known, depth - 1) for key in keys}}


def _array(schema: dict[str, Any], word: str, known: dict[str, Any], depth: int) -> list[object]:
    first: list[Any] = schema.get("prefixItems", [])
    count = max(int(schema.get("minItems", 0 if depth < _SHORT else 1)), len(first))
    count = min(count, int(schema.get("maxItems", count)))
    rest = schema.get("items", True)
    items = [*first, *([] if rest is False else [rest] * max(0, count - len(first)))][:count]
    return [_value(item, word, known, depth - 1) for item in items]


def _number(schema: dict[str, Any], kind: str) -> float | int:
    low = schema.get("minimum", schema.get("exclusiveMinimum"))
    high = schema.get("maximum", schema.get("exclusiveMaximum"))
    if low is None:
        value = 0 if high is None or high > 0 else high if "maximum" in schema else high - 1
    elif "exclusiveMinimum" in schema:
        value = low + 1 if high is None or low + 1 < high else (low + high) / 2
    else:
        value = low
    return int(value) if kind == "integer" else value


_FORMATS = {
    "date": "2024-02-29",
    "time": "12:30:00Z",
    "date-time": "2024-02-29T12:30:00Z",
    "duration": "P3D",
    "email": "someone@example.org",
    "hostname": "example.org",
    "uuid": "00000000-0000-4000-8000-000000000000",
    "uri": "https://example.org/",
    "uri-reference": "/path",
    "uri-template": "/path/{name}",
    "ipv4": "192.0.2.1",
    "ipv6": "2001:db8::1",
    "json-pointer": "/a",
    "relative-json-pointer": "0/a",
}


def _string(schema: dict[str, Any], word: str) -> str:
    if "pattern" in schema:
        found = example_of(schema["pattern"])
        if found is None:
            raise UnsupportedFeature("the sim engine finds no text for a pattern in a JSON schema", param="output")
        return found
    text = _FORMATS.get(str(schema.get("format", "")), word)
    text = text.ljust(int(schema.get("minLength", 0)), "a")
    return text[: int(schema["maxLength"])] if "maxLength" in schema else text


__all__ = ("example",)

"""A value that a JSON schema accepts, where that is simple."""

from __future__ import annotations

from typing import Any

from hyperllama.errors import UnsupportedFeature

_DEPTH = 16


def example(schema: dict[str, Any] | bool, word: str) -> object:
    """Return a value that ``schema`` accepts. ``word`` fills strings. Raise UnsupportedFeature if none is found."""
    root = schema if isinstance(schema, dict) else {}
    return _value(schema, word, root, _DEPTH)


def _value(schema: dict[str, Any] | bool, word: str, root: dict[str, Any], depth: int) -> object:
    if schema is False or depth == 0:
        raise UnsupportedFeature("the sim engine finds no value for this JSON schema", param="output")
    if schema is True:
        return word
    if "const" in schema:
        return schema["const"]
    if schema.get("enum"):
        return schema["enum"][0]
    if isinstance(reference := schema.get("$ref"), str):
        return _value(_resolve(reference, root), word, root, depth - 1)
    for key in ("anyOf", "oneOf", "allOf"):
        if options := schema.get(key):
            rest = {name: value for name, value in schema.items() if name != key}
            return _value({**rest, **options[0]} if key != "allOf" else _all(rest, options), word, root, depth - 1)
    kind = schema.get("type", "object" if "properties" in schema else "string")
    kind = kind[0] if isinstance(kind, list) else kind
    match kind:
        case "object":
            return _object(schema, word, root, depth)
        case "array":
            return _array(schema, word, root, depth)
        case "integer" | "number":
            return _number(schema, kind)
        case "boolean":
            return True
        case "null":
            return None
        case _:
            return _string(schema, word)


def _object(schema: dict[str, Any], word: str, root: dict[str, Any], depth: int) -> dict[str, object]:
    properties: dict[str, Any] = schema.get("properties", {})
    required: list[str] = schema.get("required", [])
    names = [name for name in properties if name in required] or ([] if required else list(properties))
    names += [name for name in required if name not in properties]
    return {name: _value(properties.get(name, True), word, root, depth - 1) for name in names}


def _array(schema: dict[str, Any], word: str, root: dict[str, Any], depth: int) -> list[object]:
    first: list[Any] = schema.get("prefixItems", [])
    count = max(int(schema.get("minItems", 1)), len(first))
    count = min(count, int(schema.get("maxItems", count)))
    items = [*first, *[schema.get("items", True)] * max(0, count - len(first))][:count]
    return [_value(item, word, root, depth - 1) for item in items]


def _number(schema: dict[str, Any], kind: str) -> float | int:
    step = schema.get("multipleOf", 1)
    low = schema.get("minimum", schema.get("exclusiveMinimum", 0))
    high = schema.get("maximum", schema.get("exclusiveMaximum"))
    value = low if "exclusiveMinimum" not in schema else low + step
    if high is not None and value > high:
        value = high
    if high is not None and "exclusiveMaximum" in schema and value >= high:
        value = high - step
    value = -(-value // step) * step
    return int(value) if kind == "integer" else value


def _string(schema: dict[str, Any], word: str) -> str:
    known = {
        "date": "2024-02-29",
        "time": "12:30:00Z",
        "date-time": "2024-02-29T12:30:00Z",
        "email": "someone@example.org",
        "uuid": "00000000-0000-4000-8000-000000000000",
        "uri": "https://example.org/",
        "ipv4": "192.0.2.1",
    }
    if "pattern" in schema:
        raise UnsupportedFeature("the sim engine follows no pattern in a JSON schema", param="output")
    text = known.get(str(schema.get("format", "")), word)
    text = text.ljust(int(schema.get("minLength", 0)), "a")
    return text[: int(schema["maxLength"])] if "maxLength" in schema else text


def _resolve(reference: str, root: dict[str, Any]) -> dict[str, Any] | bool:
    here: Any = root
    for step in reference.removeprefix("#").strip("/").split("/"):
        if step:
            here = here.get(step.replace("~1", "/").replace("~0", "~")) if isinstance(here, dict) else None
    if not isinstance(here, dict | bool):
        raise UnsupportedFeature(f"the JSON schema has nothing at {reference!r}", param="output")
    return here


def _all(rest: dict[str, Any], options: list[dict[str, Any]]) -> dict[str, Any]:
    merged = dict(rest)
    for option in options:
        for name, value in option.items():
            if name == "properties":
                merged[name] = {**merged.get(name, {}), **value}
            elif name == "required":
                merged[name] = [*merged.get(name, []), *value]
            else:
                merged[name] = value
    return merged


__all__ = ("example",)

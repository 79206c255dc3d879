"""Schemas of older drafts and other dialects in the words of JSON Schema 2020-12."""

from __future__ import annotations

from typing import Any, Final

from hyperllama.schemas.merging import ANY, WORDS

_ONE: Final = frozenset(
    {"additionalProperties", "unevaluatedProperties", "propertyNames", "items", "additionalItems", "unevaluatedItems"}
    | {"contains", "not", "if", "then", "else"}
)
_MANY: Final = frozenset({"anyOf", "oneOf", "allOf", "prefixItems", "items"})
_NAMED: Final = frozenset({"properties", "patternProperties", "$defs", "definitions", "dependentSchemas"})
_GONE: Final = frozenset({"$schema", "nullable"})


def normal(schema: Any) -> Any:
    """Return the schema as it is meant: types as they are called today, lists of items as ``prefixItems``."""
    if not isinstance(schema, dict):
        return schema if isinstance(schema, bool) else True
    found: dict[str, Any] = {}
    for key, value in schema.items():
        if key in _GONE:
            continue
        if key in _ONE and isinstance(value, dict | bool):
            found[key] = normal(value)
        elif key in _MANY and isinstance(value, list):
            found[key] = [normal(item) for item in value]
        elif key in _NAMED and isinstance(value, dict):
            found[key] = {name: normal(item) for name, item in value.items()}
        elif key == "type":
            if (types := _types(value)) is not None:
                found[key] = types
        elif key == "required" and not isinstance(value, list):
            continue
        else:
            found[key] = value
    if isinstance(dependencies := found.pop("dependencies", None), dict):
        found |= _dependent(dependencies)
    if isinstance(found.get("items"), list):
        found["prefixItems"] = found.pop("items")
        if "additionalItems" in found:
            found["items"] = found.pop("additionalItems")
    for key in ("minimum", "maximum"):
        exclusive = f"exclusive{key.capitalize()}"
        if isinstance(apart := found.get(exclusive), bool):
            del found[exclusive]
            if apart and key in found:
                found[exclusive] = found.pop(key)
    return found


def _dependent(dependencies: dict[str, Any]) -> dict[str, Any]:
    return {
        "dependentRequired": {name: value for name, value in dependencies.items() if isinstance(value, list)},
        "dependentSchemas": {
            name: normal(value) for name, value in dependencies.items() if isinstance(value, dict | bool)
        },
    }


def _types(value: Any) -> list[str] | None:
    found = []
    for word in value if isinstance(value, list) else [value]:
        lower = word.lower() if isinstance(word, str) else ""
        if lower in ANY or lower not in WORDS:
            return None
        found.append(WORDS[lower])
    return found or None


__all__ = ("normal",)

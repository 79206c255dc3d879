"""Alternatives of which no value fits two."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

from hyperllama.schemas.merging import TYPES, spelled

Resolve: TypeAlias = Callable[[dict[str, Any]], dict[str, Any]]


def apart(schemas: Sequence[dict[str, Any]], tag: str | None, resolve: Resolve) -> bool:
    """Return whether no value fits two of ``schemas``: their types, listed values or a required member differ.

    ``tag`` is a member that each will require; ``resolve`` follows a reference.
    """
    kinds: dict[str, list[dict[str, Any]]] = {}
    for schema in schemas:
        values, written = listed(schema), schema.get("type")
        if values is not None:
            types = {kind for value in values for kind in types_of(value)}
        else:
            types = {str(kind) for kind in (written if isinstance(written, list) else [written])}
        if not types <= set(TYPES):
            return False
        for kind in {"number" if kind == "integer" else kind for kind in types}:
            kinds.setdefault(kind, []).append(schema)
    return all(len(found) < 2 or _distinct(found, tag, resolve) for found in kinds.values())


def _distinct(found: Sequence[dict[str, Any]], tag: str | None, resolve: Resolve) -> bool:
    values = [listed(schema) for schema in found]
    if None not in values:
        return _all_different(values)
    members: dict[str, int] = {}
    for schema in found:
        required = schema.get("required")
        names = {name for name in (required if isinstance(required, list) else ()) if isinstance(name, str)}
        for name in names | ({tag} if tag else set()):
            members[name] = members.get(name, 0) + 1
    for name in (name for name, times in members.items() if times == len(found)):
        by_member = []
        for schema in found:
            properties = schema.get("properties")
            member = properties.get(name) if isinstance(properties, dict) else None
            by_member.append(listed(resolve(member)) if isinstance(member, dict) else None)
        if None not in by_member and _all_different(by_member):
            return True
    return False


def types_of(value: Any) -> set[str]:
    """Return the types that a value has."""
    match value:
        case None:
            return {"null"}
        case bool():
            return {"boolean"}
        case int() | float():
            return {"integer", "number"} if value % 1 == 0 else {"number"}
        case str():
            return {"string"}
        case list():
            return {"array"}
    return {"object"}


def listed(schema: dict[str, Any]) -> list[Any] | None:
    """Return the values that a schema lists; None: it lists none."""
    if "const" in schema:
        return [schema["const"]]
    values = schema.get("enum")
    return values if isinstance(values, list) and values else None


def _all_different(found: Sequence[list[Any] | None]) -> bool:
    seen: set[str] = set()
    for values in found:
        texts = {spelled(value) for value in values or ()}
        if texts & seen:
            return False
        seen |= texts
    return True


__all__ = ("apart", "listed", "types_of")

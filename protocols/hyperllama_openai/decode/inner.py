"""A JSON object inside a string of the body: no deeper than the body itself may be, since engines walk it too."""

from __future__ import annotations

from typing import Any

import msgspec

from hyperllama.web.body import MAX_DEPTH


def inner_object(text: str) -> dict[str, Any]:
    """Raises ValueError."""
    try:
        found = msgspec.json.decode(text, type=dict[str, Any])
    except (msgspec.DecodeError, RecursionError) as error:
        raise ValueError("no JSON object") from error
    level: list[Any] = [found]
    for _ in range(MAX_DEPTH):
        level = [
            child
            for node in level
            for child in (node.values() if isinstance(node, dict) else node)
            if isinstance(child, dict | list)
        ]
        if not level:
            return found
    raise ValueError(f"nested deeper than {MAX_DEPTH} levels")


__all__ = ("inner_object",)

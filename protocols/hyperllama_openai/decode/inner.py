"""A JSON object inside a string of the body: no deeper than the body itself may be, since engines walk it too."""

from __future__ import annotations

from typing import Any

import msgspec

from hyperllama.web import MAX_DEPTH, nests_deeper


def inner_object(text: str) -> dict[str, Any]:
    """Return the object in ``text``. Raise ValueError."""
    try:
        found: dict[str, Any] = msgspec.json.decode(text, type=dict[str, Any])
    except (msgspec.DecodeError, RecursionError) as error:
        raise ValueError("no JSON object") from error
    if nests_deeper(found, MAX_DEPTH):
        raise ValueError(f"nested deeper than {MAX_DEPTH} levels")
    return found


__all__ = ("inner_object",)

"""Bounds on schemas, so that no request holds an engine up."""

from __future__ import annotations

import json
import re
from typing import Any, Final

from hyperllama.errors import InvalidRequest

MAX_BYTES: Final = 64 * 1024
MAX_DEPTH: Final = 16
MAX_REPEAT: Final = 10_000  # of minItems and the like
MAX_WEIGHT: Final = 10_000  # states of the automaton, roughly: its memory grows with their square, to gigabytes
_UNROLLED: Final = 129  # longer repetitions are counted in another way than by a state for each
_REPEAT: Final = re.compile(r"[{,]([0-9]{1,9})(?=[,}])")


def size(schema: object, param: str) -> int:
    """Return the bytes of a schema as JSON. Raise InvalidRequest for one that is too large, or no JSON."""
    try:
        length = len(json.dumps(schema, ensure_ascii=False).encode("utf-8", "surrogatepass"))
    except (TypeError, ValueError, RecursionError) as error:
        raise InvalidRequest("The schema is no JSON.", param=param) from error
    if length > MAX_BYTES:
        raise InvalidRequest(f"The format is larger than {MAX_BYTES} bytes.", param=param)
    return length


def deep(schema: object) -> bool:
    """Return whether a schema is nested deeper than ``MAX_DEPTH`` levels."""
    level: list[Any] = [schema]
    for _ in range(MAX_DEPTH * 2):  # a level of schema is a keyword and what it holds
        level = [
            value
            for node in level
            for value in (node.values() if isinstance(node, dict) else node if isinstance(node, list) else ())
            if isinstance(value, dict | list)
        ]
        if not level:
            return False
    return True


def repeats(text: str) -> int:
    """Return the sum of the repetitions that ``{1,100}`` and its like ask for."""
    return sum(min(int(number), _UNROLLED) for number in _REPEAT.findall(text))


def pattern_weight(pattern: str) -> int:
    return 2 * (len(pattern) + repeats(pattern))  # a character of it may be several bytes


def count_weight(count: int) -> int:
    return min(count, _UNROLLED)


__all__ = (
    "MAX_BYTES",
    "MAX_DEPTH",
    "MAX_REPEAT",
    "MAX_WEIGHT",
    "count_weight",
    "deep",
    "pattern_weight",
    "repeats",
    "size",
)

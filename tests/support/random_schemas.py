"""Schemas made up at random, of every kind of type and bound that is enforced."""

from __future__ import annotations

import random
from typing import Any


def schema(seed: int) -> dict[str, Any]:
    """An object, the same for the same seed."""
    dice = random.Random(seed)
    return _object(dice, depth=0)


def _object(dice: random.Random, depth: int) -> dict[str, Any]:
    names = dice.sample(["id", "name", "kind", "size", "tags", "at", "next", "ok", "größe", "a b"], dice.randint(1, 4))
    properties = {name: _any(dice, depth + 1) for name in names}
    required = names if dice.random() < 0.7 else dice.sample(names, dice.randint(0, len(names)))
    return {"type": "object", "properties": properties, "required": required, "additionalProperties": False}


def _any(dice: random.Random, depth: int) -> dict[str, Any]:
    kinds = [_string, _integer, _number, _boolean, _enum, _const, _null]
    if depth < 3:
        kinds += [_array, _union, _object]
    return dice.choice(kinds)(dice, depth)


def _string(dice: random.Random, depth: int) -> dict[str, Any]:
    low = dice.randint(0, 3)
    return dice.choice(
        [
            {"type": "string", "minLength": low, "maxLength": low + dice.randint(0, 12)},
            {"type": "string", "pattern": dice.choice(["^[a-z]{2,5}$", "^[0-9]{4}-[0-9]{2}$", "^(x|yy|zzz)$"])},
        ]
    )


def _integer(dice: random.Random, depth: int) -> dict[str, Any]:
    low = dice.randint(-1000, 1000)
    return {"type": "integer", "minimum": low, "maximum": low + dice.randint(0, 5000)}


def _number(dice: random.Random, depth: int) -> dict[str, Any]:
    low = dice.randint(-10, 10)
    return {"type": "number", "minimum": low, "maximum": low + dice.randint(1, 50)}


def _boolean(dice: random.Random, depth: int) -> dict[str, Any]:
    return {"type": "boolean"}


def _null(dice: random.Random, depth: int) -> dict[str, Any]:
    return {"type": "null"}


def _enum(dice: random.Random, depth: int) -> dict[str, Any]:
    return {"enum": dice.sample(["red", "green", 3, None, True, "ü", "\U0001f600"], dice.randint(1, 5))}


def _const(dice: random.Random, depth: int) -> dict[str, Any]:
    return {"const": dice.choice(["fixed", 7, False, None])}


def _array(dice: random.Random, depth: int) -> dict[str, Any]:
    low = dice.randint(0, 2)
    return {"type": "array", "items": _any(dice, depth + 1), "minItems": low, "maxItems": low + dice.randint(0, 3)}


def _union(dice: random.Random, depth: int) -> dict[str, Any]:
    return {"anyOf": [_any(dice, depth + 1) for _ in range(dice.randint(2, 3))]}

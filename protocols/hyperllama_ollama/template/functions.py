"""The functions that a template may call. Each spends from the budget before it works."""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, TypeAlias

import msgspec

from hyperllama_ollama.encode.text import dumps
from hyperllama_ollama.template.budget import PIECE, Budget, too_much
from hyperllama_ollama.template.nodes import bad

Value: TypeAlias = "str | int | float | bool | Sequence[Value] | Mapping[str, Value] | None"
Apply: TypeAlias = Callable[[Sequence[Value], Budget], Value]


class Function(msgspec.Struct, frozen=True):
    """``takes``: the least and the greatest number of arguments."""

    apply: Apply
    takes: tuple[int, int]


def true(value: Value) -> bool:
    """Return whether ``if`` takes ``value``: not empty, not zero."""
    return bool(value)


def text_of(value: Value, budget: Budget) -> str:
    """Return ``value`` as it is written into the text."""
    match value:
        case str():
            return value
        case bool():
            return "true" if value else "false"
        case None:
            return "<no value>"
        case int() | float():
            return str(value)
    return _json((value,), budget)


def _json(values: Sequence[Value], budget: Budget) -> str:
    if budget.read(values[0]) > PIECE:
        raise too_much("too much text for a prompt")
    return dumps(values[0]).decode()


def _print(values: Sequence[Value], budget: Budget) -> str:
    texts = [text_of(value, budget) for value in values]
    size = sum(map(len, texts))
    if size > PIECE:
        raise too_much("too much text for a prompt")
    budget.spend(size)
    return "".join(texts)


def _same(left: Value, right: Value, budget: Budget) -> bool:
    """Return whether the two are equal, at the price of the one that is read."""
    if isinstance(left, str) or isinstance(right, str):
        if not (isinstance(left, str) and isinstance(right, str)) or len(left) != len(right):
            return False
        budget.spend(len(left))
    else:
        budget.read(left)
    return left == right


def _equal(values: Sequence[Value], budget: Budget) -> bool:
    return any(_same(values[0], other, budget) for other in values[1:])


def _ordered(compare: Callable[[Any, Any], object]) -> Apply:
    def apply(values: Sequence[Value], budget: Budget) -> Value:
        left, right = values
        if isinstance(left, str) and isinstance(right, str):
            budget.spend(min(len(left), len(right)))
        elif not (isinstance(left, int | float) and isinstance(right, int | float)):
            raise bad("incompatible types for comparison")
        return bool(compare(left, right))

    return apply


def _length(values: Sequence[Value], _: Budget) -> int:
    if isinstance(values[0], str | Sequence | Mapping):
        return len(values[0])
    raise bad("len of a value that has no length")


def _index(values: Sequence[Value], _: Budget) -> Value:
    found, *keys = values
    for key in keys:
        if isinstance(found, Mapping) and isinstance(key, str):
            found = found.get(key)
        elif isinstance(found, Sequence) and isinstance(key, int) and 0 <= key < len(found):
            found = found[key]
        else:
            raise bad("index out of range")
    return found


def _slice(values: Sequence[Value], budget: Budget) -> Value:
    found, *bounds = values
    if not isinstance(found, Sequence):
        raise bad("can't slice a value that is no list")
    ends = [bound for bound in bounds if isinstance(bound, int) and 0 <= bound <= len(found)]
    if len(ends) != len(bounds) or ends != sorted(ends):
        raise bad("slice index out of range")
    start, end = (ends[0] if ends else 0), (ends[1] if len(ends) > 1 else len(found))
    budget.spend(8 * (end - start))
    return found[start:end]


def _today(_: Sequence[Value], __: Budget) -> str:
    return datetime.now().astimezone().strftime("%Y-%m-%d")


_MANY = 100
FUNCTIONS: Mapping[str, Function] = {
    "and": Function(lambda values, _: values[-1], (1, _MANY)),
    "or": Function(lambda values, _: values[-1], (1, _MANY)),
    "not": Function(lambda values, _: not true(values[0]), (1, 1)),
    "eq": Function(_equal, (2, _MANY)),
    "ne": Function(lambda values, budget: not _same(values[0], values[1], budget), (2, 2)),
    "lt": Function(_ordered(operator.lt), (2, 2)),
    "le": Function(_ordered(operator.le), (2, 2)),
    "gt": Function(_ordered(operator.gt), (2, 2)),
    "ge": Function(_ordered(operator.ge), (2, 2)),
    "len": Function(_length, (1, 1)),
    "index": Function(_index, (1, _MANY)),
    "slice": Function(_slice, (1, 3)),
    "print": Function(_print, (0, _MANY)),
    "json": Function(_json, (1, 1)),
    "currentDate": Function(_today, (0, 0)),
}

__all__ = ("FUNCTIONS", "Function", "Value", "text_of", "true")

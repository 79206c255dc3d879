"""Nodes and values to text. Bounded: a template comes from whoever sends a request."""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, TypeAlias

import msgspec

from hyperllama_ollama.encode.text import dumps
from hyperllama_ollama.template.nodes import (
    Assign,
    Call,
    Choose,
    Constant,
    Expression,
    Field,
    Leave,
    Node,
    Range,
    Text,
    Write,
    bad,
)

MAX_STEPS = 100_000
MAX_LENGTH = 16 * 1024 * 1024

Value: TypeAlias = "str | int | float | bool | Sequence[Value] | Mapping[str, Value] | None"


class Function(msgspec.Struct, frozen=True):
    apply: Callable[[Sequence[Value]], Value]
    takes: tuple[int, int]  # least and most arguments


class _AnswerBegins(Exception):
    """The template has come to what the model is to say."""


class _Left(Exception):
    def __init__(self, *, again: bool) -> None:
        self.again = again


def render(nodes: Sequence[Node], data: Mapping[str, Value], *, answered: bool = False) -> str:
    """What the model is given: everything before ``.Response``, or with it and on where it was ``answered``.

    Raises Failure, also when it is too much work.
    """
    rendering = _Rendering(data, answered=answered)
    try:
        rendering.run(nodes, data, {})
    except _AnswerBegins:
        pass
    except _Left:
        raise bad("{{break}} or {{continue}} outside {{range}}") from None
    return "".join(rendering.out)


class _Rendering:
    def __init__(self, data: Mapping[str, Value], *, answered: bool) -> None:
        self.out: list[str] = []
        self._answered = answered
        self._data = data
        self._steps = 0
        self._length = 0

    def run(self, nodes: Sequence[Node], dot: Value, names: dict[str, Value]) -> None:
        """``names``: variables of this block; an inner one gets a copy and hands back what it changed."""
        for node in nodes:
            self._steps += 1
            if self._steps > MAX_STEPS:
                raise bad("too much work for a template")
            match node:
                case Text(text):
                    self._write(text)
                case Write(Field(".", ("Response",))) if dot is self._data and not self._answered:
                    raise _AnswerBegins
                case Write(value):
                    self._write(_shown(self._value(value, dot, names)))
                case Assign(name, value, declares):
                    if not declares and name not in names:
                        raise bad(f"undefined variable: ${name}")
                    names[name] = self._value(value, dot, names)
                case Choose(value, then, otherwise, is_dot):
                    found = self._value(value, dot, names)
                    taken = then if _true(found) else otherwise
                    self._inner(taken, found if is_dot and taken is then else dot, names)
                case Range():
                    self._range(node, dot, names)
                case Leave(again):
                    raise _Left(again=again)

    def _inner(self, nodes: Sequence[Node], dot: Value, names: dict[str, Value]) -> None:
        inside = dict(names)
        declared = {node.name for node in nodes if isinstance(node, Assign) and node.declares}
        try:
            self.run(nodes, dot, inside)
        finally:
            names.update({name: inside[name] for name in names if name not in declared})

    def _range(self, node: Range, dot: Value, names: dict[str, Value]) -> None:
        found = self._value(node.value, dot, names)
        items: list[tuple[Value, Value]]
        if isinstance(found, Mapping):
            items = sorted(found.items())
        elif isinstance(found, Sequence) and not isinstance(found, str):
            items = list(enumerate(found))
        elif found is None:
            items = []
        else:
            raise bad("range can't iterate over a value that is no list")
        if not items:
            self._inner(node.otherwise, dot, names)
        for index, item in items:
            # The loop's own variables come and go with each turn.
            inside = {
                **names,
                **({node.index: index} if node.index else {}),
                **({node.item: item} if node.item else {}),
            }
            try:
                self._inner(node.body, item, inside)
            except _Left as left:
                if not left.again:
                    return
            finally:
                names.update({name: inside[name] for name in names if name not in (node.index, node.item)})

    def _value(self, expression: Expression, dot: Value, names: Mapping[str, Value]) -> Value:
        self._steps += 1
        match expression:
            case Constant(value):
                return value
            case Field(root, path):
                return _field(self._root(root, dot, names), path)
            case Call("and" | "or" as name, arguments):
                found: Value = None
                for argument in arguments:
                    found = self._value(argument, dot, names)
                    if _true(found) is (name == "or"):
                        break
                return found
            case Call(name, arguments):
                made = FUNCTIONS[name].apply([self._value(argument, dot, names) for argument in arguments])
                if isinstance(made, str) and len(made) > MAX_LENGTH:
                    raise bad("too much text for a prompt")
                return made

    def _root(self, root: str | Expression, dot: Value, names: Mapping[str, Value]) -> Value:
        if not isinstance(root, str):
            return self._value(root, dot, names)
        if root in (".", "$"):
            return dot if root == "." else self._data
        if root[1:] not in names:
            raise bad(f"undefined variable: {root}")
        return names[root[1:]]

    def _write(self, text: str) -> None:
        self._length += len(text)
        if self._length > MAX_LENGTH:
            raise bad("too much text for a prompt")
        self.out.append(text)


def _field(value: Value, path: Sequence[str]) -> Value:
    for name in path:
        if not isinstance(value, Mapping) or name not in value:
            raise bad(f"can't evaluate field {name}")
        value = value[name]
    return value


def _true(value: Value) -> bool:
    return bool(value)


def _shown(value: Value) -> str:
    match value:
        case str():
            return value
        case bool():
            return "true" if value else "false"
        case None:
            return "<no value>"
        case int() | float():
            return str(value)
    return dumps(value).decode()


def _equal(values: Sequence[Value]) -> bool:
    return any(values[0] == other for other in values[1:])


def _ordered(compare: Callable[[Any, Any], object]) -> Callable[[Sequence[Value]], Value]:
    def apply(values: Sequence[Value]) -> Value:
        left, right = values
        numbers = isinstance(left, int | float) and isinstance(right, int | float)
        if not numbers and not (isinstance(left, str) and isinstance(right, str)):
            raise bad("incompatible types for comparison")
        return bool(compare(left, right))

    return apply


def _length(values: Sequence[Value]) -> int:
    if isinstance(values[0], str | Sequence | Mapping):
        return len(values[0])
    raise bad("len of a value that has no length")


def _index(values: Sequence[Value]) -> Value:
    found, *keys = values
    for key in keys:
        if isinstance(found, Mapping) and isinstance(key, str):
            found = found.get(key)
        elif isinstance(found, Sequence) and isinstance(key, int) and 0 <= key < len(found):
            found = found[key]
        else:
            raise bad("index out of range")
    return found


def _slice(values: Sequence[Value]) -> Value:
    found, *bounds = values
    if not isinstance(found, Sequence):
        raise bad("can't slice a value that is no list")
    ends = [bound for bound in bounds if isinstance(bound, int) and 0 <= bound <= len(found)]
    if len(ends) != len(bounds) or ends != sorted(ends):
        raise bad("slice index out of range")
    start, end = (ends[0] if ends else 0), (ends[1] if len(ends) > 1 else len(found))
    return found[start:end]


def _today(_: Sequence[Value]) -> str:
    return datetime.now().astimezone().strftime("%Y-%m-%d")


_MANY = 100
FUNCTIONS: Mapping[str, Function] = {
    "and": Function(lambda values: values[-1], (1, _MANY)),
    "or": Function(lambda values: values[-1], (1, _MANY)),
    "not": Function(lambda values: not _true(values[0]), (1, 1)),
    "eq": Function(_equal, (2, _MANY)),
    "ne": Function(lambda values: values[0] != values[1], (2, 2)),
    "lt": Function(_ordered(operator.lt), (2, 2)),
    "le": Function(_ordered(operator.le), (2, 2)),
    "gt": Function(_ordered(operator.gt), (2, 2)),
    "ge": Function(_ordered(operator.ge), (2, 2)),
    "len": Function(_length, (1, 1)),
    "index": Function(_index, (1, _MANY)),
    "slice": Function(_slice, (1, 3)),
    "print": Function(lambda values: "".join(map(_shown, values)), (0, _MANY)),
    "json": Function(lambda values: dumps(values[0]).decode(), (1, 1)),
    "currentDate": Function(_today, (0, 0)),
}

__all__ = ("FUNCTIONS", "MAX_LENGTH", "MAX_STEPS", "Function", "Value", "render")

"""Nodes and values to text, within a budget."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from hyperllama_ollama.template.budget import STEP, Budget, too_much
from hyperllama_ollama.template.functions import FUNCTIONS, Value, text_of, true
from hyperllama_ollama.template.nodes import (
    LONGEST_SHOWN,
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

MAX_LENGTH = 16 * 1024 * 1024


class _AnswerBegins(Exception):
    """The signal that the template has come to the model's answer."""


class _Left(Exception):
    """A ``break``, or with ``again`` a ``continue``, on its way to its loop."""

    def __init__(self, *, again: bool) -> None:
        self.again = again


def render(
    nodes: Sequence[Node], data: Mapping[str, Value], *, answered: bool = False, budget: Budget | None = None
) -> str:
    """Return the prompt: everything before ``.Response``, or with it and on where it was ``answered``.

    Raise Failure for a template that does not fit the data, TooMuchWork when the ``budget`` is spent.
    """
    rendering = _Rendering(data, budget or Budget(), answered=answered)
    try:
        rendering.run(nodes, data, {})
    except _AnswerBegins:
        pass
    except _Left:
        raise bad("{{break}} or {{continue}} outside {{range}}") from None
    return "".join(rendering.out)


class _Rendering:
    def __init__(self, data: Mapping[str, Value], budget: Budget, *, answered: bool) -> None:
        self.out: list[str] = []
        self._answered = answered
        self._data = data
        self._budget = budget
        self._length = 0

    def run(self, nodes: Sequence[Node], dot: Value, names: dict[str, Value]) -> None:
        """Render ``nodes``. ``names``: variables of this block; an inner one gets a copy and hands back its changes."""
        for node in nodes:
            self._budget.step()
            match node:
                case Text(text):
                    self._write(text)
                case Write(Field(".", ("Response",))) if dot is self._data and not self._answered:
                    raise _AnswerBegins
                case Write(value):
                    self._write(text_of(self._value(value, dot, names), self._budget))
                case Assign(name, value, declares):
                    if not declares and name not in names:
                        raise bad(f"undefined variable: ${name[:LONGEST_SHOWN]}")
                    names[name] = self._value(value, dot, names)
                case Choose(value, then, otherwise, is_dot):
                    found = self._value(value, dot, names)
                    taken = then if true(found) else otherwise
                    self._inner(taken, found if is_dot and taken is then else dot, names)
                case Range():
                    self._range(node, dot, names)
                case Leave(again):
                    raise _Left(again=again)

    def _inner(self, nodes: Sequence[Node], dot: Value, names: dict[str, Value]) -> None:
        self._copies(len(names) + len(nodes))
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
            self._copies(len(found))
            items = sorted(found.items())
        elif isinstance(found, Sequence) and not isinstance(found, str):
            self._copies(len(found))
            items = list(enumerate(found))
        elif found is None:
            items = []
        else:
            raise bad("range can't iterate over a value that is no list")
        if not items:
            self._inner(node.otherwise, dot, names)
        for index, item in items:
            self._budget.step()
            self._copies(len(names))
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
        self._budget.step()
        match expression:
            case Constant(value):
                return value
            case Field(root, path):
                return _field(self._root(root, dot, names), path)
            case Call("and" | "or" as name, arguments):
                found: Value = None
                for argument in arguments:
                    found = self._value(argument, dot, names)
                    if true(found) is (name == "or"):
                        break
                return found
            case Call(name, arguments):
                values = [self._value(argument, dot, names) for argument in arguments]
                return FUNCTIONS[name].apply(values, self._budget)

    def _root(self, root: str | Expression, dot: Value, names: Mapping[str, Value]) -> Value:
        if not isinstance(root, str):
            return self._value(root, dot, names)
        if root in (".", "$"):
            return dot if root == "." else self._data
        if root[1:] not in names:
            raise bad(f"undefined variable: {root[:LONGEST_SHOWN]}")
        return names[root[1:]]

    def _copies(self, count: int) -> None:
        """Spend what it takes to go through ``count`` members of a list or table."""
        self._budget.spend(count * (STEP // 8))

    def _write(self, text: str) -> None:
        self._length += len(text)
        if self._length > MAX_LENGTH:
            raise too_much("too much text for a prompt")
        self._budget.spend(len(text))
        self.out.append(text)


def _field(value: Value, path: Sequence[str]) -> Value:
    for name in path:
        if not isinstance(value, Mapping) or name not in value:
            raise bad(f"can't evaluate field {name[:LONGEST_SHOWN]}")
        value = value[name]
    return value


__all__ = ("MAX_LENGTH", "render")

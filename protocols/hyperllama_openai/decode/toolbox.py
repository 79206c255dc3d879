"""Tools as their client knows them, and the functions that stand for them before the model."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import count

import msgspec
from msgspec.structs import replace

from hyperllama.generation import ToolSpec
from hyperllama_openai.errors import InvalidSchema, InvalidValue
from hyperllama_openai.wire import limits

_MAX_NAME = 1024  # bridges to other tool protocols make names far longer than OpenAI's 64


class Offered(msgspec.Struct, frozen=True, kw_only=True):
    """One tool: ``kind``, ``namespace`` and ``name`` are the client's, ``spec`` is the model's."""

    spec: ToolSpec
    kind: str = "function"
    name: str
    namespace: str | None = None


class Toolbox:
    """The tools of one request. No two have the same name for the model."""

    def __init__(self, offered: Sequence[Offered] = (), *, elsewhere: Sequence[str] = ()) -> None:
        """Take the tools, and the types of those that only the provider's servers run: the model does not see these."""
        self.offered = tuple(_distinct(offered))
        self.elsewhere = tuple(elsewhere)
        self._called = {one.spec.name: one for one in self.offered}
        self._known: dict[tuple[str, str | None, str], Offered] = {}
        self._bare: dict[str, Offered | None] = {}  # None: several have that name
        for one in self.offered:
            self._known.setdefault((one.kind, one.namespace, one.name), one)
            self._bare[one.name] = None if one.name in self._bare else one

    @property
    def specs(self) -> tuple[ToolSpec, ...]:
        """The functions for the model."""
        return tuple(one.spec for one in self.offered)

    def called(self, name: str) -> Offered | None:
        """Return the tool that the model means by ``name``, also by the bare name of a tool in a namespace."""
        return self._called.get(name) or self._bare.get(name)

    def known(self, kind: str, name: str, namespace: str | None = None) -> Offered | None:
        """Return the tool that the client means; a function in a namespace also by its name alone or its joint name."""
        found = self._known.get((kind, namespace, name))
        if found is None and namespace is None:
            found = next((one for one in (self._bare.get(name), self._called.get(name)) if one), None)
        return found if found is not None and found.kind == kind else None

    def within(self, namespace: str) -> tuple[Offered, ...]:
        """Return the tools of a namespace."""
        return tuple(one for one in self.offered if one.namespace == namespace)

    def function(self, kind: str, name: str, namespace: str | None = None) -> str:
        """Return the name under which the model knows a tool of a history; it need not be offered any more."""
        found = self._known.get((kind, namespace, name))
        return found.spec.name if found is not None else joint(namespace, name)


def joint(namespace: str | None, name: str) -> str:
    """Return the name of a tool in a namespace, in one word."""
    if not namespace:
        return name
    return f"{namespace}{name}" if namespace.endswith("__") else f"{namespace}__{name}"


def spec(
    name: str, *, description: str | None, parameters: dict[str, object] | None, strict: bool | None, param: str
) -> ToolSpec:
    """Return a function. Raise InvalidValue or InvalidSchema; ``param`` is the place of the tool in the request."""
    if not 1 <= len(name) <= _MAX_NAME or not name.isprintable():
        raise InvalidValue(
            f"Invalid value for '{param}.name': 1 to {_MAX_NAME} printable characters.", param=f"{param}.name"
        )
    if parameters and len(msgspec.json.encode(parameters)) > limits.MAX_SCHEMA_BYTES:
        raise InvalidSchema(
            f"'{param}.parameters' is over {limits.MAX_SCHEMA_BYTES // 1024} KiB.", param=f"{param}.parameters"
        )
    return ToolSpec(
        name=name,
        description=description or "",
        parameters=parameters or {"type": "object", "properties": {}},
        strict=bool(strict),
        place=param.removesuffix(".function"),
    )


def _distinct(offered: Sequence[Offered]) -> Iterable[Offered]:
    """Yield the tools with names that differ. A plain function keeps its own, whatever stands before it."""
    plain = {one.name for one in offered if one.kind == "function" and one.namespace is None}
    taken: set[str] = set()
    for one in offered:
        own = one.kind == "function" and one.namespace is None
        name = one.spec.name
        if name in taken or (name in plain and not own):
            name = next(found for n in count(2) if (found := f"{name}_{n}") not in taken and found not in plain)
        taken.add(name)
        yield one if name == one.spec.name else replace(one, spec=replace(one.spec, name=name))


__all__ = ("Offered", "Toolbox", "joint", "spec")

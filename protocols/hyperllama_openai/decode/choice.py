"""The caller's choice among the tools, the same for both APIs."""

from __future__ import annotations

from typing import TypeAlias

import msgspec

from hyperllama.errors import UnsupportedFeature
from hyperllama.generation import AnyTool, NamedTool, NoTool, ToolChoice, ToolSpec
from hyperllama_openai.decode.toolbox import Offered, Toolbox
from hyperllama_openai.errors import InvalidValue


class Named(msgspec.Struct, frozen=True, kw_only=True):
    """A tool that a choice names: a function, a custom tool, a namespace, or a type that needs no name."""

    kind: str
    name: str = ""
    namespace: str | None = None
    param: str = "tool_choice"


class Allowed(msgspec.Struct, frozen=True, kw_only=True):
    """The tools that the model may use this time."""

    mode: str
    tools: tuple[Named, ...]


Choice: TypeAlias = str | Named | Allowed | None


def choose(choice: Choice, box: Toolbox) -> tuple[tuple[ToolSpec, ...], ToolChoice | None]:
    """Return the tools that the model may see, and the choice. Raise InvalidRequest."""
    match choice:
        case None | "auto":
            return box.specs, None
        case "none":
            return box.specs, NoTool() if box.offered else None
        case "required":
            _need(box)
            return box.specs, AnyTool()
        case Named():
            _need(box, choice)
            found = _found(choice, box)
            if len(found) == 1:
                return box.specs, NamedTool(found[0].spec.name)
            return tuple(one.spec for one in found), AnyTool()
        case Allowed(mode=mode, tools=tools):
            _need(box)
            names = {one.spec.name for tool in tools for one in _found(tool, box, lenient=True)}
            kept = tuple(spec for spec in box.specs if spec.name in names)
            if mode == "required":
                return kept, AnyTool() if kept else None
            if mode == "auto":
                return kept, None
            raise InvalidValue("Expected 'auto' or 'required'.", param="tool_choice.allowed_tools.mode")
    raise InvalidValue(
        "Invalid value for 'tool_choice': expected 'none', 'auto', 'required', a named function or 'allowed_tools'.",
        param="tool_choice",
    )


def unavailable(type: str, param: str) -> UnsupportedFeature:
    """Return the refusal of a tool that the provider's servers run."""
    return UnsupportedFeature(
        f"The tool {type[:40]!r} is one that OpenAI's servers run, and this server does not: leave it out, or offer a "
        "function in its place.",
        param=param,
    )


def _found(named: Named, box: Toolbox, *, lenient: bool = False) -> tuple[Offered, ...]:
    """Return the tools of that name; ``lenient``: none if it runs elsewhere."""
    if named.kind in box.elsewhere:
        if lenient:
            return ()
        raise unavailable(named.kind, named.param)
    found = box.within(named.name) if named.kind == "namespace" else ()
    one = box.known(named.kind, named.name or named.kind, named.namespace)
    if one is not None:
        found = (*found, one)
    if not found:
        raise InvalidValue(f"Tool choice {(named.name or named.kind)[:80]!r} not found in 'tools'.", param=named.param)
    return found


def _need(box: Toolbox, named: Named | None = None) -> None:
    if box.offered:
        return
    if box.elsewhere:
        raise unavailable(named.kind if named and named.kind in box.elsewhere else box.elsewhere[0], "tool_choice")
    raise InvalidValue("'tool_choice' is only allowed when 'tools' are specified.", param="tool_choice")


__all__ = ("Allowed", "Choice", "Named", "choose", "unavailable")

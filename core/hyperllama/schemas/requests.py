"""The schemas of a request that its answer is held to."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from hyperllama.errors import InvalidRequest
from hyperllama.generation import AnyTool, GenerationRequest, JsonSchema, NamedTool, ToolSpec
from hyperllama.schemas.limits import MAX_WEIGHT
from hyperllama.schemas.loosening import Enforced, enforced


def forced_tools(request: GenerationRequest) -> tuple[ToolSpec, ...]:
    """Return the tools of which one must be called; empty if none need be. Raise InvalidRequest when there is none."""
    match request.tool_choice:
        case NamedTool(name):
            found = tuple(tool for tool in request.tools if tool.name == name)
            if not found:
                raise InvalidRequest(f"tool_choice names {name!r}, which is not among the tools.", param="tool_choice")
            return found
        case AnyTool():
            if not request.tools:
                raise InvalidRequest("tool_choice is 'required' but there are no tools.", param="tool_choice")
            return request.tools
        case _:
            return ()


def enforced_output(
    output: JsonSchema, *, heaviest: int = MAX_WEIGHT, rest: Callable[[], None] = lambda: None
) -> Enforced:
    """Return what engines follow of an output format. Raises what :func:`enforced` raises."""
    return enforced(output.schema, strict=output.strict, heaviest=heaviest, rest=rest)


def enforced_calls(
    tools: Sequence[ToolSpec], *, heaviest: int = MAX_WEIGHT, rest: Callable[[], None] = lambda: None
) -> tuple[Enforced, ...]:
    """Return what engines follow of the arguments of each tool when one of them must be called.

    Raises what :func:`enforced` raises, naming the tool.
    """
    found = [_arguments(tool, at, heaviest, rest) for at, tool in enumerate(tools)]
    if sum(each.weight for each in found) > heaviest:
        share = heaviest // len(found)
        found = [
            each if each.weight <= share else _arguments(tool, at, share, rest)
            for at, (tool, each) in enumerate(zip(tools, found, strict=True))
        ]
    return tuple(found)


def _arguments(tool: ToolSpec, at: int, heaviest: int, rest: Callable[[], None]) -> Enforced:
    place = tool.place or f"tools[{at}]"
    return enforced(
        {**tool.parameters, "type": "object"},
        strict=tool.strict,
        param=place,
        name=f'{place} "{tool.name}"',
        heaviest=heaviest,
        rest=rest,
    )


__all__ = ("enforced_calls", "enforced_output", "forced_tools")

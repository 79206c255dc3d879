"""The tools of a response: functions, custom tools, namespaces of both, and OpenAI's own that the client runs."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import msgspec

from hyperllama.errors import InvalidRequest
from hyperllama_openai.decode import choice, client_tools, freeform
from hyperllama_openai.decode.toolbox import Offered, Toolbox, joint, spec
from hyperllama_openai.errors import InvalidValue, MissingParameter
from hyperllama_openai.wire import limits
from hyperllama_openai.wire.responses import AllowedTool, Item, ResponsesRequest, Tool, ToolChoice

_CARRIERS = ("additional_tools", "tool_search_output")


def toolbox(request: ResponsesRequest, items: Sequence[Item] = ()) -> Toolbox:
    """Return the tools of a request, and those that its ``items`` bring. Raise InvalidRequest.

    A tool of a type that is not known here is ignored, as one that the provider runs: agents offer many. Alone they
    are refused, since an answer would be invented.
    """
    found = request.tools or ()
    if len(found) > limits.MAX_TOOLS:
        raise InvalidValue(f"'tools' takes at most {limits.MAX_TOOLS} tools.", param="tools")
    offered = [one for index, tool in enumerate(found) for one in _offered(tool, f"tools[{index}]")]
    known = {(one.kind, one.namespace, one.name) for one in offered}
    for item in items:
        for one in _brought(item):
            if (key := (one.kind, one.namespace, one.name)) not in known:
                known.add(key)
                offered.append(one)
    if len(offered) > limits.MAX_TOOLS:
        raise InvalidValue(
            f"'tools' takes at most {limits.MAX_TOOLS} tools, those in namespaces included.", param="tools"
        )
    elsewhere = [tool.type for tool in found if not shown(tool)]
    if elsewhere and not offered and request.tool_choice in (None, "auto"):
        raise choice.unavailable(elsewhere[0], "tools[0].type")
    return Toolbox(offered, elsewhere=elsewhere)


def chosen(asked: str | ToolChoice | None) -> choice.Choice:
    """Return the choice in the form of both APIs."""
    if not isinstance(asked, ToolChoice):
        return asked
    if asked.type == "allowed_tools":
        named = tuple(_named(tool, f"tool_choice.tools[{index}]") for index, tool in enumerate(asked.tools or ()))
        return choice.Allowed(mode=asked.mode or "auto", tools=named)
    if asked.type in ("function", "custom", "namespace") and asked.name is None:
        raise MissingParameter("Missing required parameter: 'tool_choice.name'.", param="tool_choice.name")
    return _named(asked, "tool_choice")


def _named(tool: AllowedTool | ToolChoice, param: str) -> choice.Named:
    if tool.type in ("function", "custom", "namespace"):
        return choice.Named(kind=tool.type, name=tool.name or "", namespace=tool.namespace, param=param)
    return choice.Named(kind=client_tools.kind_of(tool.type), param=param)


def shown(tool: Tool) -> bool:
    """Return whether the model sees the tool."""
    return tool.type in ("function", "custom", "namespace") or client_tools.client_tool(tool) is not None


def _offered(tool: Tool, param: str) -> Iterable[Offered]:
    if tool.type == "namespace":
        namespace = _name(tool, param)
        for index, inner in enumerate(tool.tools or ()):
            if inner.type in ("function", "custom"):
                yield _one(inner, f"{param}.tools[{index}]", namespace, tool.description)
    elif tool.type in ("function", "custom"):
        yield _one(tool, param, None, None)
    elif (found := client_tools.client_tool(tool)) is not None:
        yield found


def _one(tool: Tool, param: str, namespace: str | None, about: str | None) -> Offered:
    name = _name(tool, param)
    if tool.type == "custom":
        return freeform.custom(name, description=tool.description, format=tool.format, namespace=namespace, param=param)
    made = spec(
        joint(namespace, name),
        description=tool.description or about,
        parameters=tool.parameters,
        strict=tool.strict,
        param=param,
    )
    return Offered(spec=made, name=name, namespace=namespace)


def _brought(item: Item) -> Iterable[Offered]:
    """Yield the tools that an item brings: those that a search found."""
    if item.type not in _CARRIERS:
        return
    for tool in item.tools or ():
        try:
            yield from _offered(msgspec.convert(tool, Tool), "tools")
        except (msgspec.ValidationError, InvalidRequest):
            continue  # it is a trace of another provider's, never a reason to refuse


def _name(tool: Tool, param: str) -> str:
    if tool.name is None:
        raise MissingParameter(f"Missing required parameter: '{param}.name'.", param=f"{param}.name")
    return tool.name


__all__ = ("chosen", "shown", "toolbox")

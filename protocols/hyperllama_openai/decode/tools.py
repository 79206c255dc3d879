"""The tools of a chat completion: functions and custom ones, and the caller's choice among them."""

from __future__ import annotations

from collections.abc import Sequence

from hyperllama.errors import UnsupportedFeature
from hyperllama_openai.decode import choice, freeform
from hyperllama_openai.decode.toolbox import Offered, Toolbox, spec
from hyperllama_openai.errors import InvalidValue, MissingParameter
from hyperllama_openai.wire import limits
from hyperllama_openai.wire.chat import AllowedTool, Tool, ToolChoice


def tools(found: Sequence[Tool] | None) -> Toolbox:
    """Return the tools. An empty list, which agents send, is none."""
    found = found or ()
    if len(found) > limits.MAX_TOOLS:
        raise InvalidValue(f"'tools' takes at most {limits.MAX_TOOLS} tools.", param="tools")
    return Toolbox([_tool(tool, f"tools[{index}]") for index, tool in enumerate(found)])


def chosen(asked: str | ToolChoice | None) -> choice.Choice:
    """Return the choice in the form of both APIs."""
    match asked:
        case ToolChoice(type="function", function=function) if function is not None:
            return choice.Named(kind="function", name=function.name, param="tool_choice.function.name")
        case ToolChoice(type="custom", custom=custom) if custom is not None:
            return choice.Named(kind="custom", name=custom.name, param="tool_choice.custom.name")
        case ToolChoice(type="allowed_tools", allowed_tools=allowed) if allowed is not None:
            named = [
                one
                for index, tool in enumerate(allowed.tools)
                if (one := _named(tool, f"tool_choice.allowed_tools.tools[{index}]")) is not None
            ]
            return choice.Allowed(mode=allowed.mode, tools=tuple(named))
        case str() | None:
            return asked
    return ""  # no choice that exists


def _named(tool: AllowedTool, param: str) -> choice.Named | None:
    if tool.type == "custom" and tool.custom is not None:
        return choice.Named(kind="custom", name=tool.custom.name, param=param)
    return None if tool.function is None else choice.Named(kind="function", name=tool.function.name, param=param)


def _tool(tool: Tool, param: str) -> Offered:
    if tool.type == "custom":
        if tool.custom is None:
            raise MissingParameter(f"Missing required parameter: '{param}.custom'.", param=f"{param}.custom")
        return freeform.custom(
            tool.custom.name,
            description=tool.custom.description,
            format=tool.custom.format,
            namespace=None,
            param=f"{param}.custom",
        )
    if tool.type != "function":
        raise UnsupportedFeature(
            f"Invalid value for '{param}.type': only 'function' and 'custom' tools are supported.",
            param=f"{param}.type",
        )
    if tool.function is None:
        raise MissingParameter(f"Missing required parameter: '{param}.function'.", param=f"{param}.function")
    function = tool.function
    made = spec(
        function.name,
        description=function.description,
        parameters=function.parameters,
        strict=function.strict,
        param=f"{param}.function",
    )
    return Offered(spec=made, name=function.name)


__all__ = ("chosen", "tools")

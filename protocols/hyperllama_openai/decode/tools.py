"""Tools that a model may call, and the caller's choice among them."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from hyperllama.errors import UnsupportedFeature
from hyperllama.generation import AnyTool, NamedTool, NoTool, ToolSpec
from hyperllama.generation import ToolChoice as Chosen
from hyperllama_openai.errors import InvalidSchema, InvalidValue, MissingParameter
from hyperllama_openai.wire import limits
from hyperllama_openai.wire.chat import Tool, ToolChoice

_MAX_NAME = 1024  # bridges to other tool protocols make names far longer than OpenAI's 64


def tools(found: Sequence[Tool] | None) -> tuple[ToolSpec, ...]:
    """Return the tools. An empty list, which agents send, is none."""
    found = found or ()
    if len(found) > limits.MAX_TOOLS:
        raise InvalidValue(f"'tools' takes at most {limits.MAX_TOOLS} tools.", param="tools")
    return tuple(_tool(tool, f"tools[{index}]") for index, tool in enumerate(found))


def choose(choice: str | ToolChoice | None, specs: tuple[ToolSpec, ...]) -> tuple[tuple[ToolSpec, ...], Chosen | None]:
    """Return the tools that the model may see, and the choice."""
    match choice:
        case None | "auto":
            return specs, None
        case "none":
            return specs, NoTool() if specs else None
        case "required":
            _need(specs)
            return specs, AnyTool()
        case ToolChoice(type="function", function=function) if function is not None:
            _need(specs)
            return specs, NamedTool(_known(function.name, specs, "tool_choice.function.name"))
        case ToolChoice(type="allowed_tools", allowed_tools=allowed) if allowed is not None:
            _need(specs)
            names = {
                _known(tool.function.name, specs, f"tool_choice.allowed_tools.tools[{index}]")
                for index, tool in enumerate(allowed.tools)
                if tool.function is not None
            }
            kept = tuple(spec for spec in specs if spec.name in names)
            if allowed.mode == "required":
                return kept, AnyTool() if kept else None
            if allowed.mode == "auto":
                return kept, None
            raise InvalidValue("Expected 'auto' or 'required'.", param="tool_choice.allowed_tools.mode")
        case ToolChoice(type="custom"):
            raise UnsupportedFeature("Custom tools are not supported by this server.", param="tool_choice")
    raise InvalidValue(
        "Invalid value for 'tool_choice': expected 'none', 'auto', 'required', a named function or 'allowed_tools'.",
        param="tool_choice",
    )


def spec(
    name: str, *, description: str | None, parameters: dict[str, object] | None, strict: bool | None, param: str
) -> ToolSpec:
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
    )


def _tool(tool: Tool, param: str) -> ToolSpec:
    if tool.type != "function":
        raise UnsupportedFeature(
            f"Invalid value for '{param}.type': only 'function' tools are supported.", param=f"{param}.type"
        )
    if tool.function is None:
        raise MissingParameter(f"Missing required parameter: '{param}.function'.", param=f"{param}.function")
    function = tool.function
    return spec(
        function.name,
        description=function.description,
        parameters=function.parameters,
        strict=function.strict,
        param=f"{param}.function",
    )


def _need(specs: tuple[ToolSpec, ...]) -> None:
    if not specs:
        raise InvalidValue("'tool_choice' is only allowed when 'tools' are specified.", param="tool_choice")


def _known(name: str, specs: tuple[ToolSpec, ...], param: str) -> str:
    if all(spec.name != name for spec in specs):
        raise InvalidValue(f"Tool choice {name[:80]!r} not found in 'tools'.", param=param)
    return name


__all__ = ("choose", "spec", "tools")

"""Tools and the choice among them: the caller's functions, and those of Anthropic's types that the client runs."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from hyperllama.errors import UnsupportedFeature
from hyperllama.generation import AnyTool, NamedTool, NoTool, ToolChoice, ToolSpec
from hyperllama_anthropic import wire
from hyperllama_anthropic.decode.typed_tools import client_run, kind
from hyperllama_anthropic.errors import invalid


def tools(request: wire.PromptFields) -> tuple[ToolSpec, ...]:
    """Return the tools that the model is shown. Tools that run on Anthropic's servers are left out.

    Raises UnsupportedFeature where nothing but those is offered, or one of them is forced: an answer without the tool
    would pass for its result.
    """
    found = request.tools or ()
    specs = tuple(spec for index, tool in enumerate(found) if (spec := _spec(tool, f"tools.{index}")) is not None)
    choice = request.tool_choice
    if choice is not None and choice.type == "none":
        return specs
    forced = choice.name if choice is not None and choice.type == "tool" else None
    for index, tool in enumerate(found):
        if not _runs_here(tool) and (not specs or (forced is not None and forced == tool.name)):
            raise UnsupportedFeature(
                f"tools.{index}: Tools of type {_quoted(tool.type)} run on Anthropic's servers; "
                "this server runs none of them.",
                param=f"tools.{index}",
            )
    return specs


def ignored(request: wire.PromptFields) -> tuple[str, ...]:
    """Return the types of the tools that are left out, each once."""
    return tuple(dict.fromkeys(tool.type or "" for tool in request.tools or () if not _runs_here(tool)))


def choice(found: wire.ToolChoice | None, specs: Sequence[ToolSpec]) -> ToolChoice | None:
    """Return the choice; None leaves it to the model. Raise InvalidRequest for one that fits no tool."""
    if found is None or found.type == "auto":
        return None
    if found.type == "none":
        return NoTool() if specs else None
    if not specs:
        raise invalid("tool_choice", "only allowed together with tools")
    if found.type == "any":
        return AnyTool()
    if found.type == "tool":
        if all(spec.name != found.name for spec in specs):
            raise invalid("tool_choice.name", "no tool of that name in tools")
        return NamedTool(found.name or "")
    raise invalid("tool_choice.type", "expected 'auto', 'any', 'tool' or 'none'")


def _runs_here(tool: wire.Tool) -> bool:
    return not kind(tool) or client_run(tool) is not None


def _spec(tool: wire.Tool, param: str) -> ToolSpec | None:
    if kind(tool):
        return client_run(tool)
    if tool.name is None:
        raise invalid(f"{param}.name", "Field required")
    if not 1 <= len(tool.name) <= 1024 or not tool.name.isprintable():
        raise invalid(f"{param}.name", "1 to 1024 printable characters are expected")
    schema = tool.input_schema or {"type": "object", "properties": {}}
    if len(msgspec.json.encode(schema)) > wire.MAX_SCHEMA_BYTES:
        raise invalid(f"{param}.input_schema", f"over {wire.MAX_SCHEMA_BYTES // 1024} KiB")
    description = tool.description or ""
    return ToolSpec(tool.name, description, parameters=schema, strict=bool(tool.strict), place=param)


def _quoted(type: str | None) -> str:
    return "".join(char for char in (type or "")[:40] if char.isascii() and (char.isalnum() or char in "_-."))


__all__ = ("choice", "ignored", "tools")

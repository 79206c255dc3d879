"""OpenAI's own tools that the client runs: functions of fixed schemas for the model.

See decision 009.
"""

from __future__ import annotations

from typing import Any

from hyperllama.generation import ToolSpec
from hyperllama_openai.decode.toolbox import Offered
from hyperllama_openai.wire.responses import Tool


def _object(required: tuple[str, ...], **properties: dict[str, Any]) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "required": list(required), "additionalProperties": False}


_TEXT = {"type": "string"}
_NUMBER = {"type": "integer"}
_TEXTS = {"type": "array", "items": _TEXT}
_POINT = _object(("x", "y"), x=_NUMBER, y=_NUMBER)
_LOCAL_SHELL = ToolSpec(
    "local_shell",
    "Runs a command on the user's machine and returns its output.",
    _object(("command",), command=_TEXTS, working_directory=_TEXT, timeout_ms=_NUMBER),
)
_SHELL = ToolSpec(
    "shell",
    "Runs shell commands on the user's machine and returns their output.",
    _object(("commands",), commands=_TEXTS, timeout_ms=_NUMBER, max_output_length=_NUMBER),
)
_APPLY_PATCH = ToolSpec(
    "apply_patch",
    "Creates, updates or deletes one file. 'diff' is in the V4A format: lines that begin with '+', '-' or a space, "
    "after lines with '@@' that say where; not for 'delete_file'.",
    _object(
        ("type", "path"),
        type={"type": "string", "enum": ["create_file", "update_file", "delete_file"]},
        path=_TEXT,
        diff=_TEXT,
    ),
)
_ACTIONS = ["click", "double_click", "drag", "keypress", "move", "screenshot", "scroll", "type", "wait"]
_COMPUTER = _object(
    ("type",),
    type={"type": "string", "enum": _ACTIONS},
    x=_NUMBER,
    y=_NUMBER,
    button={"type": "string", "enum": ["left", "right", "wheel", "back", "forward"]},
    keys=_TEXTS,
    text=_TEXT,
    scroll_x=_NUMBER,
    scroll_y=_NUMBER,
    path={"type": "array", "items": _POINT},
)
_SEARCH = _object(("query",), query={"type": "string", "description": "Words that describe the tools that are needed."})


def client_tool(tool: Tool) -> Offered | None:
    """Return a tool that the client runs; None for one that it does not."""
    match tool.type:
        case "local_shell":
            return Offered(spec=_LOCAL_SHELL, kind="local_shell", name="local_shell")
        case "shell" if _is_local(tool.environment):
            return Offered(spec=_SHELL, kind="shell", name="shell")
        case "apply_patch":
            return Offered(spec=_APPLY_PATCH, kind="apply_patch", name="apply_patch")
        case "computer" | "computer_use_preview" | "computer_use":
            return Offered(spec=_computer(tool), kind="computer", name="computer")
        case "tool_search" if tool.execution == "client":
            words = tool.description or "Finds tools that are not shown yet."
            made = ToolSpec("tool_search", words, tool.parameters or _SEARCH)
            return Offered(spec=made, kind="tool_search", name="tool_search")
    return None


def kind_of(type: str) -> str:
    """Return the kind that a tool's type, in a choice, stands for."""
    return "computer" if type.startswith("computer") else type


def _computer(tool: Tool) -> ToolSpec:
    size = f" of {tool.display_width} x {tool.display_height}" if tool.display_width and tool.display_height else ""
    return ToolSpec("computer", f"Acts on the user's screen{size} and returns a screenshot.", _COMPUTER)


def _is_local(environment: str | dict[str, Any] | None) -> bool:
    return not isinstance(environment, dict) or environment.get("type", "local") == "local"


__all__ = ("client_tool", "kind_of")

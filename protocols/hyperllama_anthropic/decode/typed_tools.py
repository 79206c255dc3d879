"""Anthropic's own tools: those that the client runs, with the schemas that the real API knows, and those it cannot."""

from __future__ import annotations

import re
from typing import Any, Final

from hyperllama.generation import ToolSpec
from hyperllama_anthropic import wire

_VERSION = re.compile(r"_\d{8}$")


def kind(tool: wire.Tool) -> str:
    """Return the type of ``tool`` without its date; empty for a function of the caller's."""
    return "" if tool.type in (None, "custom") else _VERSION.sub("", tool.type or "")


def client_run(tool: wire.Tool) -> ToolSpec | None:
    """Return a tool whose type the client runs as a function with its fixed schema; None for any other type."""
    found = _CLIENT_RUN.get(kind(tool))
    if found is None:
        return None
    description, parameters = found
    size = ""
    if kind(tool) == "computer" and tool.display_width_px and tool.display_height_px:
        size = f" The screen is {tool.display_width_px} by {tool.display_height_px} pixels."
    return ToolSpec(tool.name or kind(tool), description + size, parameters)


def _object(required: tuple[str, ...], **properties: dict[str, Any]) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "required": list(required), "additionalProperties": False}


def _text(description: str = "") -> dict[str, Any]:
    return {"type": "string", "description": description} if description else {"type": "string"}


def _one_of(*values: str) -> dict[str, Any]:
    return {"type": "string", "enum": list(values)}


_INTEGER: Final = {"type": "integer"}
_POINT: Final = {"type": "array", "items": _INTEGER, "minItems": 2, "maxItems": 2}
_REGION: Final = {"type": "array", "items": _INTEGER, "minItems": 4, "maxItems": 4}
_CLIENT_RUN: Final[dict[str, tuple[str, dict[str, Any]]]] = {
    "bash": (
        "Run a command in a bash session that keeps its state between calls.",
        _object((), command=_text("The command to run."), restart={"type": "boolean"}),
    ),
    "text_editor": (
        "View, create and edit text files.",
        _object(
            ("command", "path"),
            command=_one_of("view", "create", "str_replace", "insert", "undo_edit"),
            path=_text("The path of the file or directory."),
            file_text=_text("The content of a file to create."),
            old_str=_text("The text to replace; it must occur once."),
            new_str=_text("The text to put in its place."),
            insert_line=_INTEGER,
            insert_text=_text("The text to insert after that line."),
            view_range={"type": "array", "items": _INTEGER, "minItems": 2, "maxItems": 2},
        ),
    ),
    "memory": (
        "Read and write files beneath /memories, which last from one conversation to the next.",
        _object(
            ("command",),
            command=_one_of("view", "create", "str_replace", "insert", "delete", "rename"),
            path=_text("A path beneath /memories."),
            view_range={"type": "array", "items": _INTEGER, "minItems": 2, "maxItems": 2},
            file_text=_text(),
            old_str=_text(),
            new_str=_text(),
            insert_line=_INTEGER,
            insert_text=_text(),
            old_path=_text(),
            new_path=_text(),
        ),
    ),
    "computer": (
        "Use the screen, the mouse and the keyboard of a computer.",
        _object(
            ("action",),
            action=_one_of(
                "screenshot",
                "key",
                "hold_key",
                "type",
                "cursor_position",
                "mouse_move",
                "left_click",
                "left_click_drag",
                "left_mouse_down",
                "left_mouse_up",
                "right_click",
                "middle_click",
                "double_click",
                "triple_click",
                "scroll",
                "wait",
                "zoom",
            ),
            coordinate=_POINT,
            start_coordinate=_POINT,
            region=_REGION,
            text=_text("Keys to press or text to type."),
            duration={"type": "number"},
            scroll_direction=_one_of("up", "down", "left", "right"),
            scroll_amount=_INTEGER,
        ),
    ),
}

__all__ = ("client_run", "kind")

"""Calls of tools that clients run, and their results, from the items of a history."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec

from hyperllama_openai.decode import freeform
from hyperllama_openai.decode.messages import arguments
from hyperllama_openai.decode.toolbox import joint
from hyperllama_openai.errors import MissingParameter
from hyperllama_openai.wire.responses import Item, Part

#: The kind of the tool, by the type of its call.
CALLS = {
    "function_call": "function",
    "custom_tool_call": "custom",
    "local_shell_call": "local_shell",
    "shell_call": "shell",
    "apply_patch_call": "apply_patch",
    "computer_call": "computer",
    "tool_search_call": "tool_search",
}
RESULTS = frozenset(
    {
        "function_call_output",
        "custom_tool_call_output",
        "local_shell_call_output",
        "shell_call_output",
        "apply_patch_call_output",
        "computer_call_output",
        "tool_search_output",
    }
)


def name_of(item: Item, param: str) -> str:
    """Return the client's name for the tool. Raise MissingParameter."""
    kind = CALLS[item.type or ""]
    if kind not in ("function", "custom"):
        return kind
    if item.name is None:
        raise MissingParameter(f"Missing required parameter: '{param}.name'.", param=f"{param}.name")
    return item.name


def arguments_of(item: Item) -> str:
    """Return the arguments of a call as the text of a JSON object."""
    match item.type:
        case "custom_tool_call":
            return freeform.arguments(item.input)
        case "local_shell_call":
            return _spelled({name: value for name, value in (item.action or {}).items() if name != "type" and value})
        case "shell_call":
            return _spelled({name: value for name, value in (item.action or {}).items() if value is not None})
        case "computer_call":
            first = item.actions[0] if item.actions else {}
            return _spelled(item.action or first)
        case "apply_patch_call":
            return _spelled(item.operation or {})
    return arguments(item.arguments)


def result_of(item: Item) -> str | list[Part] | None:
    """Return the content of a result; None if there is none."""
    output = item.output
    match item.type:
        case "shell_call_output" if isinstance(output, list):
            return "\n".join(_shell(part) for part in output)
        case "apply_patch_call_output":
            return output if isinstance(output, str) and output else item.status or "completed"
        case "tool_search_output":
            lines = (line for tool in item.tools or () for line in _lines(tool))
            return "\n".join(lines) or "No tools were found."
    if isinstance(output, dict):  # a screenshot
        if isinstance(url := output.get("image_url"), str):
            return [Part(type="input_image", image_url=url)]
        return msgspec.json.encode(output).decode()
    return output


def _spelled(value: dict[str, Any]) -> str:
    return msgspec.json.encode(value).decode()


def _shell(part: Part) -> str:
    texts = [text for text in (part.text, part.stdout, part.stderr) if text]
    outcome = part.outcome or {}
    if outcome.get("type") == "timeout":
        texts.append("(It took too long.)")
    elif outcome.get("exit_code"):
        texts.append(f"(exit code {outcome['exit_code']})")
    return "\n".join(texts)


def _lines(tool: object, namespace: str | None = None) -> Iterable[str]:
    """Yield a line for each tool that a search found, by the names that the model calls."""
    found = tool if isinstance(tool, dict) else {}
    name, about, inner = found.get("name"), found.get("description"), found.get("tools")
    if not isinstance(name, str):
        return
    if isinstance(inner, list) and namespace is None:
        for one in inner:
            yield from _lines(one, name)
        return
    yield f"{joint(namespace, name)}: {about}" if isinstance(about, str) else joint(namespace, name)


__all__ = ("CALLS", "RESULTS", "arguments_of", "name_of", "result_of")

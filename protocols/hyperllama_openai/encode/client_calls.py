"""Calls of OpenAI's own tools that the client runs, in the form of their items."""

from __future__ import annotations

from typing import Any

import msgspec

from hyperllama_openai.wire import response as wire

#: Prefixes of the items' ids, by the kind of the tool.
PREFIXES = {"apply_patch": "apc_", "computer": "cu_", "local_shell": "lsh_", "shell": "sh_", "tool_search": "tsc_"}


def client_call(kind: str, arguments: str, *, id: str, call_id: str, status: str) -> wire.ClientCall:
    """Return the item. What a model left out or wrote wrongly is empty: the client says so, and the model goes on."""
    found = _object(arguments)
    match kind:
        case "local_shell":
            command = found.get("command")
            action: dict[str, Any] = {
                "type": "exec",
                "command": _texts(command) if not isinstance(command, str) else ["bash", "-lc", command],
                "env": {},
                **_kept(found, working_directory=str, timeout_ms=int),
            }
            return wire.ClientCall(id=id, type="local_shell_call", call_id=call_id, action=action, status=status)
        case "shell":
            commands = found.get("commands", found.get("command"))
            action = {
                "commands": [commands] if isinstance(commands, str) else _texts(commands),
                "timeout_ms": None,
                "max_output_length": None,
                **_kept(found, timeout_ms=int, max_output_length=int),
            }
            return wire.ClientCall(id=id, type="shell_call", call_id=call_id, action=action, status=status)
        case "apply_patch":
            operation = {"type": "update_file", "path": "", **_kept(found, type=str, path=str)}
            if operation["type"] not in ("create_file", "delete_file", "update_file"):
                operation["type"] = "update_file"
            if operation["type"] != "delete_file":
                diff = found.get("diff")
                operation["diff"] = diff if isinstance(diff, str) else ""
            status = "in_progress" if status == "in_progress" else "completed"  # it knows no other
            return wire.ClientCall(id=id, type="apply_patch_call", call_id=call_id, operation=operation, status=status)
        case "computer":
            return wire.ClientCall(
                id=id,
                type="computer_call",
                call_id=call_id,
                action=found if isinstance(found.get("type"), str) else {"type": "screenshot"},
                pending_safety_checks=[],
                status=status,
            )
    return wire.ClientCall(
        id=id, type="tool_search_call", call_id=call_id, arguments=found, execution="client", status=status
    )


def _object(arguments: str) -> dict[str, Any]:
    try:
        return msgspec.json.decode(arguments, type=dict[str, Any])
    except (msgspec.DecodeError, RecursionError):
        return {}


def _texts(value: object) -> list[str]:
    return [text for text in value if isinstance(text, str)] if isinstance(value, list) else []


def _kept(found: dict[str, Any], **types: type) -> dict[str, Any]:
    return {name: found[name] for name, type_ in types.items() if type(found.get(name)) is type_}


__all__ = ("PREFIXES", "client_call")

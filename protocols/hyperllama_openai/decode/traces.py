"""Items that tools left which ran elsewhere, as a line of text for the model; and those that say nothing to it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec

from hyperllama_openai.wire.responses import Item

#: Items without a meaning here: what other servers keep for themselves, and what is said otherwise.
SKIPPED = frozenset(
    {
        "additional_tools",
        "compaction_trigger",
        "configuration_update",
        "ghost_snapshot",
        "mcp_list_tools",
        "program",
        "program_output",
    }
)
_MOST = 20_000  # characters of one result; the rest is cut


def trace(item: Item) -> str | None:
    """Return the line for a hosted tool's item; "" if there is nothing to say, None if it is none."""
    match item.type:
        case "web_search_call":
            return _bracketed(f"Searched the web{_quoted(_query(item.action))}")
        case "file_search_call":
            found = (_texts(result, "filename", "text") for result in item.results or ())
            return _bracketed(f"Searched the files{_quoted(item.queries or ())}", *found)
        case "code_interpreter_call":
            logs = (_texts(output, "logs") for output in item.outputs or ())
            return _bracketed("Ran code", item.code or "", *logs)
        case "image_generation_call":
            return _bracketed("Made an image")
        case "mcp_call":
            output = item.output if isinstance(item.output, str) else ""
            arguments = item.arguments if isinstance(item.arguments, str) else ""
            failed = f"It failed: {_plain(item.error)}" if item.error else ""
            return _bracketed(f"Called the tool '{item.name}' of '{item.server_label}'", arguments, output, failed)
        case "mcp_approval_request":
            arguments = item.arguments if isinstance(item.arguments, str) else ""
            return _bracketed(f"Asked to call the tool '{item.name}' of '{item.server_label}'", arguments)
        case kind if kind in SKIPPED:
            return ""
    return None


def _query(action: dict[str, Any] | None) -> Iterable[object]:
    """Return the queries of a search, or the address of a page that was opened."""
    action = action or {}
    for name in ("queries", "query", "url"):
        if value := action.get(name):
            return value if isinstance(value, list) else (value,)
    return ()


def _quoted(queries: Iterable[object]) -> str:
    words = ", ".join(f'"{query}"' for query in queries if isinstance(query, str))
    return f" for {words}" if words else ""


def _texts(value: object, *names: str) -> str:
    found = value if isinstance(value, dict) else {}
    return ": ".join(text for name in names if isinstance(text := found.get(name), str) and text)


def _plain(value: object) -> str:
    if isinstance(value, str):
        return value
    return _texts(value, "message") or msgspec.json.encode(value).decode()


def _bracketed(sentence: str, *details: str) -> str:
    told = [detail[:_MOST] for detail in details if detail]
    return "[" + "\n".join([f"{sentence}:" if told else f"{sentence}.", *told]) + "]"


__all__ = ("SKIPPED", "trace")

"""The messages of a stored chat completion, each with an id of its own."""

from __future__ import annotations

from typing import Any


def store_messages(id: str, messages: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the messages as they are listed; parts are beside the text, and what was not given is left out."""
    return [_message(f"{id}-{index}", message) for index, message in enumerate(messages)]


def _message(id: str, message: dict[str, Any]) -> dict[str, Any]:
    content = message.get("content")
    parts = content if isinstance(content, list) else None
    given = {key: value for key, value in message.items() if value is not None}
    if parts is not None:
        parts = [{key: value for key, value in part.items() if value is not None} for part in parts]
        given["content"] = "".join(part.get("text", "") for part in parts) or None
    return {"id": id, "content": None, **given, "content_parts": parts}


__all__ = ("store_messages",)

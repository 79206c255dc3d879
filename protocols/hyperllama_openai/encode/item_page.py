"""A page of a response's input items, or of a stored chat completion's messages."""

from __future__ import annotations

from typing import Any

from hyperllama_openai.errors import InvalidValue
from hyperllama_openai.wire.response import ItemList
from hyperllama_openai.wire.responses import ItemsQuery
from hyperllama_openai.wire.stored_chat import MessagesQuery


def page(items: list[dict[str, Any]], query: ItemsQuery | MessagesQuery, *, noun: str = "item") -> ItemList:
    """Return the page of ``items`` (oldest first) that ``query`` names; an error calls one of them ``noun``.

    Raises InvalidValue for an unknown ``after``.
    """
    ordered = items if query.order == "asc" else items[::-1]
    if query.after is not None:
        at = next((index for index, item in enumerate(ordered) if item.get("id") == query.after), None)
        if at is None:
            raise InvalidValue(f"Invalid value for 'after': no {noun} of that id.", param="after")
        ordered = ordered[at + 1 :]
    found = ordered[: query.limit]
    return ItemList(
        data=found,
        first_id=found[0].get("id") if found else None,
        last_id=found[-1].get("id") if found else None,
        has_more=len(ordered) > query.limit,
    )


__all__ = ("page",)

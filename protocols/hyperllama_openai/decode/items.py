"""Input items of a response: the request's own, and those of the responses before it."""

from __future__ import annotations

import msgspec

from hyperllama_openai import ids
from hyperllama_openai.errors import MissingParameter
from hyperllama_openai.wire.responses import ConversationFields, Item, Part

_ITEMS = msgspec.json.Decoder(list[Item])
_PREFIXES = {
    "custom_tool_call": "ctc_",
    "custom_tool_call_output": "ctco_",
    "function_call": "fc_",
    "function_call_output": "fco_",
    "reasoning": "rs_",
}
_WITHOUT_ID = frozenset({"item_reference", "local_shell_call_output"})


class _Made(msgspec.Struct, frozen=True):
    output: list[Item]


_MADE = msgspec.json.Decoder(_Made)


def own_input(request: ConversationFields, response_id: str = "") -> list[Item]:
    """Return the request's input as items with ids and types; a string is one user message.

    Content is in parts, as it is read back; the ids are those of items of the response ``response_id``. Raise
    MissingParameter if there is no input and no previous response.
    """
    if request.input is None or request.input == []:
        if request.previous_response_id is not None:
            return []
        raise MissingParameter("Missing required parameter: 'input'.", param="input")
    if isinstance(request.input, str):
        return [_whole(Item(type="message", role="user", content=request.input), response_id, 1)]
    return [_whole(item, response_id, number) for number, item in enumerate(request.input, 1)]


def stored(items: bytes, response: bytes) -> list[Item]:
    """Return the items that a stored response was made from, and its output."""
    return [*_ITEMS.decode(items), *_MADE.decode(response).output]


def _whole(item: Item, response_id: str, number: int) -> Item:
    kind = item.type or ("item_reference" if item.role is None and item.content is None and item.id else "message")
    content = item.content
    if isinstance(content, str):
        content = [Part(type="output_text" if item.role == "assistant" else "input_text", text=content)]
    own = item.id or (None if kind in _WITHOUT_ID else ids.item(response_id, _PREFIXES.get(kind, "msg_"), number))
    return msgspec.structs.replace(item, type=kind, id=own, content=content)


__all__ = ("own_input", "stored")

"""Input items of a response: the request's own, and those of the responses before it."""

from __future__ import annotations

import msgspec

from hyperllama_openai import ids
from hyperllama_openai.errors import MissingParameter
from hyperllama_openai.wire.responses import Item, Part, ResponsesRequest

_ITEMS = msgspec.json.Decoder(list[Item])
_PREFIXES = {"function_call": "fc_", "function_call_output": "fco_", "reasoning": "rs_"}


class _Made(msgspec.Struct, frozen=True):
    output: list[Item]


_MADE = msgspec.json.Decoder(_Made)


def own_input(request: ResponsesRequest) -> list[Item]:
    """Return the request's input as items with ids and types; a string is one user message.

    Content is in parts, as it is read back. Raise MissingParameter if there is none and no previous response.
    """
    if request.input is None or request.input == []:
        if request.previous_response_id is not None:
            return []
        raise MissingParameter("Missing required parameter: 'input'.", param="input")
    if isinstance(request.input, str):
        return [_whole(Item(type="message", role="user", content=request.input))]
    return [_whole(item) for item in request.input]


def stored(items: bytes, response: bytes) -> list[Item]:
    """Return the items that a stored response was made from, and its output."""
    return [*_ITEMS.decode(items), *_MADE.decode(response).output]


def _whole(item: Item) -> Item:
    kind = item.type or "message"
    content = item.content
    if isinstance(content, str):
        content = [Part(type="output_text" if item.role == "assistant" else "input_text", text=content)]
    return msgspec.structs.replace(item, type=kind, id=item.id or ids.new(_PREFIXES.get(kind, "msg_")), content=content)


__all__ = ("own_input", "stored")

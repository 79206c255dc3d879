"""The whole input of a response: what was stored before it, the items that it refers to, and its own."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TypeVar

from hyperllama.models import ModelInfo
from hyperllama.spi import Gateway, Records
from hyperllama.web import BodyReader, GatewayRequest, ParsedBody
from hyperllama_openai import fetching, ids
from hyperllama_openai.decode import items as decode_items
from hyperllama_openai.errors import InvalidValue, ItemNotFound, MissingParameter, PreviousResponseNotFound
from hyperllama_openai.fetching import Sources
from hyperllama_openai.store import ResponseStore
from hyperllama_openai.wire.responses import ConversationFields, Item

C = TypeVar("C", bound=ConversationFields)

_MOST_READ = 64  # stored responses, for the references of one request
_MOST_BYTES = 32 * 1024 * 1024  # of them together


class Histories:
    """The inputs of responses."""

    def __init__(self, store: ResponseStore, reader: BodyReader, sources: Sources) -> None:
        self._store = store
        self._reader = reader
        self._sources = sources

    async def items(
        self, body: ParsedBody[C], info: ModelInfo, request: GatewayRequest, gateway: Gateway, *, id: str = ""
    ) -> list[Item]:
        """Return the whole conversation, with files and images inline. Raise InvalidRequest or ItemNotFound.

        ``id`` of the response that is to be made, for the ids of its own items.
        """
        return await self.inline(await self.given(body, request, gateway, id=id), info, request, gateway)

    async def inline(self, items: list[Item], info: ModelInfo, request: GatewayRequest, gateway: Gateway) -> list[Item]:
        """Return ``items`` with files and images inline. Raise InvalidRequest or NotFound."""
        return await fetching.items(items, self._sources.of(info, gateway, request.user))

    async def given(
        self, body: ParsedBody[C], request: GatewayRequest, gateway: Gateway, *, id: str = ""
    ) -> list[Item]:
        """Return the whole conversation, with files and images as they were named. Raise like :meth:`items`."""
        wire, owner = body.value, request.user.id
        own = await body.run(decode_items.own_input, wire, id)
        before = await self._before(body, gateway.records, owner)
        references = [(index, item.id) for index, item in enumerate(own) if item.type == "item_reference"]
        if references:
            found = await self._referred(references, before, own, body, gateway.records, owner)
            own = [found[item.id or ""] if item.type == "item_reference" else item for item in own]
        items = [*before, *own]
        if len(items) > self._reader.limits.messages and wire.previous_response_id is not None:
            raise InvalidValue(
                f"With the previous response, the input holds over {self._reader.limits.messages} items.",
                param="previous_response_id",
            )
        return items

    async def _before(self, body: ParsedBody[C], records: Records, owner: str) -> list[Item]:
        """Return the conversation up to the previous response, and its output."""
        previous = body.value.previous_response_id
        if previous is None:
            return []
        before = await self._store.get(records, owner, previous)
        if before is None:
            raise PreviousResponseNotFound(
                f"Previous response with id '{previous[:80]}' not found.", param="previous_response_id"
            )
        if not before.complete:
            raise InvalidValue("The previous response is not complete yet.", param="previous_response_id")
        body.grow(before.items)
        return await body.run(decode_items.stored, before.items, before.response)

    async def _referred(
        self,
        references: Sequence[tuple[int, str | None]],
        before: Iterable[Item],
        own: Sequence[Item],
        body: ParsedBody[C],
        records: Records,
        owner: str,
    ) -> dict[str, Item]:
        """Return the items by their ids.

        The newest response of a conversation holds the items of all before it, so the last reference is read first:
        most often nothing else has to be.
        """
        found = _by_id(before) | _by_id(item for item in own if item.type != "item_reference")
        read, size = 0, 0
        for index, name in reversed(references):
            if name is None:
                raise MissingParameter(f"Missing required parameter: 'input[{index}].id'.", param=f"input[{index}].id")
            if name in found:
                continue
            response_id = ids.response_of(name)
            stored = None if response_id is None else await self._store.get(records, owner, response_id)
            if stored is not None:
                read, size = read + 1, size + len(stored.items) + len(stored.response)
                if read > _MOST_READ or size > _MOST_BYTES:
                    raise InvalidValue("Items of too many responses are referred to; send them whole.", param="input")
                body.grow(stored.items)
                known = _by_id(await body.run(decode_items.stored, stored.items, stored.response))
                found = known | found
            if name not in found:
                raise ItemNotFound(name)
        return found


def _by_id(items: Iterable[Item]) -> dict[str, Item]:
    return {item.id: item for item in items if item.id is not None}


__all__ = ("Histories",)

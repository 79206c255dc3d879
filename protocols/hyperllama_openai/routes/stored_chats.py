"""Stored chat completions: listed, read, changed, deleted, and their messages."""

from __future__ import annotations

import re
from collections.abc import Sequence

import msgspec
from litestar import delete, get, post
from litestar.params import FromPath
from litestar.response.base import ASGIResponse
from litestar.types import ControllerRouterHandler

from hyperllama.errors import NotFound
from hyperllama.web import BodyReader, GatewayRequest, InjectedGateway, Resource, route
from hyperllama_openai.chat_store import ChatStore, StoredChat
from hyperllama_openai.decode.metadata import metadata
from hyperllama_openai.encode import sse
from hyperllama_openai.encode.item_page import page
from hyperllama_openai.encode.store_messages import store_messages
from hyperllama_openai.reply import ready
from hyperllama_openai.settings import Settings
from hyperllama_openai.wire import stored_chat as wire
from hyperllama_openai.wire.chat import ChatCompletion

_PAIR = re.compile(r"metadata\[(.{1,64})\]")


class StoredChatRoutes(Resource):
    """The caller's stored chat completions."""

    def __init__(self, settings: Settings, reader: BodyReader) -> None:
        self._settings = settings
        self._reader = reader
        self._store = ChatStore(settings.response_ttl)

    @property
    def handlers(self) -> Sequence[ControllerRouterHandler]:
        """The route handlers, to be mounted by the protocol."""
        one = "/chat/completions/{completion_id:str}"
        listed = route(permission="infer", query=wire.ChatsQuery, answers=wire.ChatList)
        changed = route(permission="infer", accepts=wire.ChatUpdate, answers=ChatCompletion)
        messages = route(permission="infer", query=wire.MessagesQuery, answers=wire.ChatList)
        return (
            get("/chat/completions", opt=listed)(self.list_chats),
            get(one, opt=route(permission="infer", answers=ChatCompletion))(self.retrieve_chat),
            post(one, status_code=200, opt=changed)(self.update_chat),
            delete(one, status_code=200, opt=route(permission="infer", answers=wire.ChatDeleted))(self.remove_chat),
            get(f"{one}/messages", opt=messages)(self.list_messages),
        )

    async def list_chats(self, request: GatewayRequest, gateway: InjectedGateway) -> ASGIResponse:
        """List stored completions, page by page."""
        query = self._reader.query(request, wire.ChatsQuery)
        wanted = {
            pair[1]: value
            for name, value in request.query_params.items()
            if (pair := _PAIR.fullmatch(name)) is not None
        }

        def matches(stored: StoredChat) -> bool:
            return query.model in (None, stored.model) and wanted.items() <= stored.metadata.items()

        found = await self._store.page(
            gateway.records,
            request.user.id,
            matches=matches,
            after=query.after,
            limit=query.limit + 1,
            newest_first=query.order == "desc",
        )
        shown = found[: query.limit]
        listed = wire.ChatList(
            data=[msgspec.Raw(stored.json()) for stored in shown],
            first_id=shown[0].id if shown else None,
            last_id=shown[-1].id if shown else None,
            has_more=len(found) > query.limit,
        )
        return ready(sse.JSON.encode(listed))

    async def retrieve_chat(
        self, request: GatewayRequest, gateway: InjectedGateway, completion_id: FromPath[str]
    ) -> ASGIResponse:
        """Return a stored completion."""
        return ready((await self._find(request, gateway, completion_id)).json())

    async def update_chat(
        self, request: GatewayRequest, gateway: InjectedGateway, completion_id: FromPath[str]
    ) -> ASGIResponse:
        """Change the metadata of a stored completion."""
        body = (await self._reader.read(request, wire.ChatUpdate, strict=self._settings.strict)).value
        stored = await self._find(request, gateway, completion_id)
        stored = msgspec.structs.replace(stored, metadata=metadata(body.metadata))
        self._store.put(gateway.records, request.user.id, stored)
        return ready(stored.json())

    async def remove_chat(
        self, request: GatewayRequest, gateway: InjectedGateway, completion_id: FromPath[str]
    ) -> ASGIResponse:
        """Delete a stored completion."""
        await self._find(request, gateway, completion_id)
        self._store.delete(gateway.records, request.user.id, completion_id)
        return ready(sse.JSON.encode(wire.ChatDeleted(id=completion_id)))

    async def list_messages(
        self, request: GatewayRequest, gateway: InjectedGateway, completion_id: FromPath[str]
    ) -> ASGIResponse:
        """List the messages that a stored completion answers, page by page."""
        query = self._reader.query(request, wire.MessagesQuery)
        stored = await self._find(request, gateway, completion_id)

        def listed(raw: bytes) -> bytes:
            return sse.JSON.encode(page(store_messages(completion_id, msgspec.json.decode(raw)), query, noun="message"))

        return ready((await self._reader.decode(stored.messages, listed)).value)

    async def _find(self, request: GatewayRequest, gateway: InjectedGateway, id: str) -> StoredChat:
        stored = await self._store.get(gateway.records, request.user.id, id)
        if stored is None:
            raise NotFound(f"Chat completion with id '{id[:80]}' not found.")
        return stored


__all__ = ("StoredChatRoutes",)

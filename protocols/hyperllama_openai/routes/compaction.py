"""Compaction: a conversation becomes the user's messages and a summary, from which it can be continued."""

from __future__ import annotations

import time
from collections.abc import Sequence

from litestar import post
from litestar.response.base import ASGIResponse
from litestar.types import ControllerRouterHandler
from msgspec.structs import replace

from hyperllama.web import BodyReader, GatewayRequest, InjectedGateway, Resource, caller, route
from hyperllama_openai import ids
from hyperllama_openai.compaction import summary
from hyperllama_openai.decode import summaries
from hyperllama_openai.decode.compaction import summarizing
from hyperllama_openai.encode import sse
from hyperllama_openai.encode.responses import spell_usage
from hyperllama_openai.fetching import Sources
from hyperllama_openai.history import Histories
from hyperllama_openai.reply import Timed
from hyperllama_openai.settings import Settings
from hyperllama_openai.store import ResponseStore
from hyperllama_openai.wire import response as answer
from hyperllama_openai.wire.responses import CompactRequest, Item


class CompactionRoutes(Resource):
    """The compaction of conversations."""

    def __init__(self, settings: Settings, reader: BodyReader, sources: Sources) -> None:
        self._settings = settings
        self._reader = reader
        self._histories = Histories(ResponseStore(settings.response_ttl), reader, sources)

    @property
    def handlers(self) -> Sequence[ControllerRouterHandler]:
        """The route handlers, to be mounted by the protocol."""
        made = route(permission="infer", encodings=("zstd",), accepts=CompactRequest, answers=answer.CompactedResponse)
        return (post("/responses/compact", status_code=200, opt=made)(self.compact),)

    async def compact(self, request: GatewayRequest, gateway: InjectedGateway) -> ASGIResponse:
        """Summarize a conversation; the answer is input for the next response."""
        body = await self._reader.read(request, CompactRequest, strict=self._settings.strict)
        wire, owner = body.value, request.user.id
        info = gateway.model(wire.model, request.user)
        response_id, created = ids.response(), int(time.time())
        given = await self._histories.given(body, request, gateway, id=response_id)
        items = await self._histories.inline(given, info, request, gateway)
        generation = await body.run(summarizing, wire, items, info, self._settings, owner=owner)
        who = caller(request, "openai")

        async def work() -> bytes:
            text, usage = await summary(gateway, generation, who)
            item = answer.Compaction(
                id=ids.item(response_id, "cmp_", len(given) + 1), encrypted_content=summaries.seal(text, owner)
            )
            compacted = answer.CompactedResponse(
                id=response_id, created_at=created, output=[*_users(given), item], usage=spell_usage(usage)
            )
            return sse.JSON.encode(compacted)

        return Timed(work)


def _users(items: Sequence[Item]) -> list[Item]:
    return [replace(item, status="completed") for item in items if item.type == "message" and item.role == "user"]


__all__ = ("CompactionRoutes",)

"""The Responses API: made, kept, read back."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import msgspec
from litestar import delete, get, post
from litestar.params import FromPath
from litestar.response.base import ASGIResponse
from litestar.types import ControllerRouterHandler

from hyperllama.errors import EngineFailed, InvalidRequest, Unavailable
from hyperllama.spi import Records
from hyperllama.stream import TokenStream
from hyperllama.web import (
    BodyReader,
    GatewayRequest,
    InjectedGateway,
    PieceResponse,
    Resource,
    TokenResponse,
    caller,
    route,
)
from hyperllama_openai import ids
from hyperllama_openai.background import Generate, Run, Runs, split
from hyperllama_openai.compaction import Compacting
from hyperllama_openai.decode import compaction, response_tools, summaries
from hyperllama_openai.decode import responses as decode
from hyperllama_openai.encode import sse
from hyperllama_openai.encode.item_page import page
from hyperllama_openai.encode.responses_stream import ResponsesEncoder
from hyperllama_openai.errors import InvalidValue, ResponseNotFound
from hyperllama_openai.fetching import Sources
from hyperllama_openai.history import Histories
from hyperllama_openai.reply import Timed, left_out, ready
from hyperllama_openai.settings import Settings
from hyperllama_openai.store import LEASE, ResponseStore, ResponseWriter, StoredResponse
from hyperllama_openai.wire import response as answer
from hyperllama_openai.wire.responses import ItemsQuery, ReplayQuery, ResponsesRequest


class ResponsesRoutes(Resource):
    """Responses of the caller's."""

    def __init__(self, settings: Settings, reader: BodyReader, sources: Sources) -> None:
        self._settings = settings
        self._reader = reader
        self._store = ResponseStore(settings.response_ttl)
        self._histories = Histories(self._store, reader, sources)
        self._runs = Runs()

    @property
    def handlers(self) -> Sequence[ControllerRouterHandler]:
        """The route handlers, to be mounted by the protocol."""
        one = "/responses/{response_id:str}"
        made = route(
            permission="infer",
            encodings=("zstd",),
            accepts=ResponsesRequest,
            answers=answer.Response,
            streams=sse.MEDIA_TYPE,
        )
        counted = route(permission="infer", accepts=ResponsesRequest, answers=answer.InputTokens)
        read = route(permission="infer", query=ReplayQuery, answers=answer.Response, streams=sse.MEDIA_TYPE)
        listed = route(permission="infer", query=ItemsQuery, answers=answer.ItemList)
        return (
            post("/responses", status_code=200, opt=made)(self.create),
            post("/responses/input_tokens", status_code=200, opt=counted)(self.count),
            get(one, opt=read)(self.retrieve),
            delete(one, status_code=200, opt=route(permission="infer", answers=answer.Deleted))(self.remove),
            post(f"{one}/cancel", status_code=200, opt=route(permission="infer", answers=answer.Response))(self.cancel),
            get(f"{one}/input_items", opt=listed)(self.input_items),
        )

    async def create(self, request: GatewayRequest, gateway: InjectedGateway) -> ASGIResponse:
        """Make a response: in the background, as a stream, or whole."""
        body = await self._reader.read(request, ResponsesRequest, strict=self._settings.strict)
        info = gateway.model(body.value.model, request.user)
        response_id = ids.response()
        items = await self._histories.items(body, info, request, gateway, id=response_id)
        wire = body.value if self._store.enabled else _unstored(body.value)
        box = await body.run(response_tools.toolbox, wire, items)
        who = caller(request, "openai")
        owner, summarized = request.user.id, compaction.triggered(items)
        if summarized:
            decode.refuse(wire)
            generation = await body.run(compaction.summarizing, wire, items, info, self._settings, owner=owner)
        else:
            generation = await body.run(decode.responses, wire, items, info, self._settings, box, owner=owner)
        created = time.time()
        writer = self._store.writer(
            gateway.records, owner, created=created, items=await body.run(sse.JSON.encode, items)
        )
        encoder = ResponsesEncoder(
            wire,
            id=response_id,
            created=int(created),
            box=box,
            first_item=len(items) + 1,
            with_logprobs=generation.sampling.logprobs is not None,
            seal=partial(summaries.seal, owner=owner) if summarized else None,
            on_final=None if wire.background or wire.store is False else writer.complete,
        )
        generate: Generate = partial(gateway.generate, generation, who)
        threshold = compaction.threshold(wire, info)
        if threshold is not None and not summarized:
            compacting = Compacting(
                gateway,
                who,
                body,
                items,
                info,
                self._settings,
                box,
                threshold=threshold,
                on_summary=encoder.precede,
            )
            generate = partial(compacting.generate, generation)
        if wire.background:
            return self._background(generate, owner, encoder, writer, stream=bool(wire.stream))
        return (_stream if wire.stream else _whole)(generate, encoder, left_out(box))

    async def count(self, request: GatewayRequest, gateway: InjectedGateway) -> ASGIResponse:
        """Count the tokens of a response's input."""
        body = await self._reader.read(request, ResponsesRequest, strict=self._settings.strict)
        info = gateway.model(body.value.model, request.user)
        items = await self._histories.items(body, info, request, gateway)
        generation = await body.run(decode.responses, body.value, items, info, self._settings, owner=request.user.id)
        who = caller(request, "openai")

        async def work() -> bytes:
            found = await gateway.tokenize(
                generation.model, generation.input, who, tools=generation.tools, reasoning=generation.reasoning
            )
            return sse.JSON.encode(answer.InputTokens(input_tokens=len(found)))

        return Timed(work)

    async def retrieve(
        self, request: GatewayRequest, gateway: InjectedGateway, response_id: FromPath[str]
    ) -> ASGIResponse:
        """Return a response as it stands, or stream its events again."""
        owner = request.user.id
        run = self._runs.get(response_id, owner)
        query = self._reader.query(request, ReplayQuery)
        if not query.stream:
            if run is not None:
                return ready(sse.JSON.encode(run.encoder.response))
            return ready((await self._find(response_id, gateway.records, owner)).response)
        start = 0 if query.starting_after is None else query.starting_after + 1
        if run is not None:
            return PieceResponse(run.follow(start), sse.MEDIA_TYPE, headers=sse.HEADERS)
        stored = await self._find(response_id, gateway.records, owner)
        if not stored.complete:
            raise Unavailable("Another gateway makes this response; it can be streamed when done.", retry_after=5)
        if not stored.events:
            raise InvalidRequest("Only responses made with 'background' and 'stream' can be streamed again.")
        return ready(b"".join(split(stored.events)[start:]), sse.MEDIA_TYPE)

    async def remove(
        self, request: GatewayRequest, gateway: InjectedGateway, response_id: FromPath[str]
    ) -> ASGIResponse:
        """Delete a response; one that is being made is cancelled first."""
        await self._find(response_id, gateway.records, request.user.id)
        await self._runs.cancel(response_id)
        self._store.delete(gateway.records, request.user.id, response_id)
        return ready(sse.JSON.encode(answer.Deleted(id=response_id)))

    async def cancel(
        self, request: GatewayRequest, gateway: InjectedGateway, response_id: FromPath[str]
    ) -> ASGIResponse:
        """Cancel a background response."""
        records, owner = gateway.records, request.user.id
        stored = await self._find(response_id, records, owner)
        if not msgspec.json.decode(stored.response)["background"]:
            raise InvalidRequest("Cannot cancel a synchronous response; close its connection instead.")
        if not stored.complete and self._runs.get(response_id, owner) is None:
            raise Unavailable("Another gateway makes this response; only that one can cancel it.", retry_after=5)
        await self._runs.cancel(response_id)
        return ready((await self._find(response_id, records, owner)).response)

    async def input_items(
        self, request: GatewayRequest, gateway: InjectedGateway, response_id: FromPath[str]
    ) -> ASGIResponse:
        """List the items that a response was made from, page by page."""
        query = self._reader.query(request, ItemsQuery)
        stored = await self._find(response_id, gateway.records, request.user.id)

        def listed(raw: bytes) -> bytes:
            found: list[dict[str, Any]] = msgspec.json.decode(raw)
            return sse.JSON.encode(page(found, query))

        return ready((await self._reader.decode(stored.items, listed)).value)

    def _background(
        self, generate: Generate, owner: str, encoder: ResponsesEncoder, writer: ResponseWriter, *, stream: bool
    ) -> ASGIResponse:
        run = Run(encoder, owner)
        response = encoder.response
        writer.renew(response)
        self._runs.start(
            response.id,
            run,
            generate,
            every=LEASE / 4,
            on_beat=lambda run: writer.renew(run.encoder.response),
            on_end=lambda run: writer.complete(run.encoder.response, events=b"".join(run.events) if stream else b""),
        )
        if stream:
            return PieceResponse(run.follow(0), sse.MEDIA_TYPE, headers=sse.HEADERS)
        return ready(sse.JSON.encode(response))

    async def _find(self, id: str, records: Records, owner: str) -> StoredResponse:
        stored = await self._store.get(records, owner, id)
        if stored is None:
            raise ResponseNotFound(f"Response with id '{id[:80]}' not found.")
        return stored


def _stream(generate: Generate, encoder: ResponsesEncoder, headers: Mapping[str, str]) -> ASGIResponse:
    async def start() -> Sequence[TokenStream]:
        return (await generate(),)

    return TokenResponse(start, encoder, headers={**sse.HEADERS, **headers})


def _whole(generate: Generate, encoder: ResponsesEncoder, headers: Mapping[str, str]) -> ASGIResponse:
    async def work() -> bytes:
        stream = await generate()
        try:
            while chunks := await stream.batch():
                encoder.chunks(0, chunks)
        finally:
            await stream.aclose()
        encoder.end()
        if encoder.response.error is not None:
            raise EngineFailed(encoder.response.error.message)
        return sse.JSON.encode(encoder.response)

    return Timed(work, headers)


def _unstored(wire: ResponsesRequest) -> ResponsesRequest:
    """Return ``wire`` as if the caller wanted nothing kept: the answer says so."""
    if wire.background:
        raise InvalidValue("This server keeps no responses, which 'background' needs.", param="background")
    return msgspec.structs.replace(wire, store=False)


__all__ = ("ResponsesRoutes",)

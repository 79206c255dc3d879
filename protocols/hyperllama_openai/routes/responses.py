"""The Responses API: made, kept, read back."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import msgspec
from litestar import delete, get, post
from litestar.params import FromPath
from litestar.response.base import ASGIResponse
from litestar.types import ControllerRouterHandler

from hyperllama.errors import EngineFailed, InvalidRequest, Unavailable
from hyperllama.spi import Records
from hyperllama.web import (
    Fetcher,
    GatewayRequest,
    InjectedGateway,
    PieceResponse,
    TokenResponse,
    caller,
)
from hyperllama_openai import fetching, ids
from hyperllama_openai.background import Run, Runs, split
from hyperllama_openai.body import query, read
from hyperllama_openai.decode import responses as decode
from hyperllama_openai.encode import sse
from hyperllama_openai.encode.responses_stream import ResponsesEncoder
from hyperllama_openai.errors import InvalidValue, ResponseNotFound
from hyperllama_openai.reply import Timed, ready
from hyperllama_openai.settings import Settings
from hyperllama_openai.store import VOUCHED, Responses, Stored
from hyperllama_openai.wire import response as answer
from hyperllama_openai.wire.responses import Item, ItemsQuery, ReplayQuery, ResponsesRequest

_ITEMS = msgspec.json.Decoder(list[Item])
_PREFIXES = {"function_call": "fc_", "function_call_output": "fco_", "reasoning": "rs_"}


def routes(settings: Settings, remote: Fetcher) -> Sequence[ControllerRouterHandler]:
    runs = Runs()
    store = Responses(settings.response_ttl)

    async def context(wire: ResponsesRequest, records: Records, owner: str) -> list[Item]:
        """What came before, the answer to it, and what is asked now."""
        own = [_identified(item) for item in decode.own_input(wire)]
        if wire.previous_response_id is None:
            return own
        stored = await find(wire.previous_response_id, records, owner, param="previous_response_id")
        if stored.vouched:
            raise InvalidValue("The previous response is not complete yet.", param="previous_response_id")
        output = msgspec.convert(msgspec.json.decode(stored.response)["output"], list[Item])
        return [*_ITEMS.decode(stored.items), *output, *own]

    async def find(id: str, records: Records, owner: str, *, param: str | None = None) -> Stored:
        stored = await store.get(records, owner, id)
        if stored is None:
            raise ResponseNotFound(f"Response with id '{id[:80]}' not found.", param=param)
        return stored

    @post(
        ["/v1/responses", "/responses"],
        status_code=200,
        opt={
            "permission": "infer",
            "encodings": ("zstd",),
            "accepts": ResponsesRequest,
            "answers": answer.Response,
            "streams": sse.MEDIA_TYPE,
        },
    )
    async def create(request: GatewayRequest, gateway: InjectedGateway) -> ASGIResponse:
        wire = await read(request, ResponsesRequest, strict=settings.strict)
        who, owner, records = caller(request, "openai"), request.user.id, gateway.records
        info = gateway.model(wire.model, request.user)
        items = await fetching.items(await context(wire, records, owner), info, remote)
        if not store.kept:
            wire = _unstored(wire)
        generation = decode.responses(wire, items, info, settings)
        created, spelled = time.time(), sse.JSON.encode(items)

        def keep(response: answer.Response, *, events: bytes = b"", vouched: float = 0.0) -> None:
            body = sse.JSON.encode(response)
            store.put(
                records,
                owner,
                Stored(id=response.id, created=created, response=body, items=spelled, events=events, vouched=vouched),
            )

        encoder = ResponsesEncoder(
            wire,
            id=ids.new("resp_"),
            created=int(created),
            with_logprobs=generation.sampling.logprobs is not None,
            on_final=None if wire.background or wire.store is False else keep,
        )
        if wire.background:
            run = Run(encoder, owner)
            response = encoder.response

            def vouch(run: Run) -> None:
                keep(run.encoder.response, vouched=time.time() + VOUCHED)

            vouch(run)
            runs.start(
                response.id,
                run,
                gateway,
                generation,
                who,
                every=VOUCHED / 4,
                on_beat=vouch,
                on_end=lambda run: keep(run.encoder.response, events=b"".join(run.events) if wire.stream else b""),
            )
            if wire.stream:
                return PieceResponse(run.follow(0), sse.MEDIA_TYPE, headers=sse.HEADERS)
            return ready(sse.JSON.encode(response))
        if wire.stream:

            async def start() -> Sequence[Any]:
                return (await gateway.generate(generation, who),)

            return TokenResponse(start, encoder, headers=sse.HEADERS)

        async def work() -> bytes:
            stream = await gateway.generate(generation, who)
            try:
                while chunks := await stream.batch():
                    encoder.chunks(0, chunks)
            finally:
                await stream.aclose()
            encoder.end()
            if encoder.response.error is not None:
                raise EngineFailed(encoder.response.error.message)
            return sse.JSON.encode(encoder.response)

        return Timed(work)

    @post(
        ["/v1/responses/input_tokens", "/responses/input_tokens"],
        status_code=200,
        opt={"permission": "infer", "accepts": ResponsesRequest, "answers": answer.InputTokens},
    )
    async def count(request: GatewayRequest, gateway: InjectedGateway) -> ASGIResponse:
        wire = await read(request, ResponsesRequest, strict=settings.strict)
        who = caller(request, "openai")
        info = gateway.model(wire.model, request.user)
        items = await fetching.items(await context(wire, gateway.records, request.user.id), info, remote)
        asked = decode.responses(wire, items, info, settings)

        async def work() -> bytes:
            ids = await gateway.tokenize(wire.model, asked.input, who, tools=asked.tools, reasoning=asked.reasoning)
            return sse.JSON.encode(answer.InputTokens(input_tokens=len(ids)))

        return Timed(work)

    @get(
        ["/v1/responses/{response_id:str}", "/responses/{response_id:str}"],
        opt={"permission": "infer", "query": ReplayQuery, "answers": answer.Response, "streams": sse.MEDIA_TYPE},
    )
    async def retrieve(request: GatewayRequest, gateway: InjectedGateway, response_id: FromPath[str]) -> ASGIResponse:
        owner = request.user.id
        run = runs.get(response_id, owner)
        asked = query(request, ReplayQuery)
        if asked.stream:
            start = 0 if asked.starting_after is None else asked.starting_after + 1
            if run is not None:
                return PieceResponse(run.follow(start), sse.MEDIA_TYPE, headers=sse.HEADERS)
            stored = await find(response_id, gateway.records, owner)
            if stored.vouched:
                raise Unavailable("Another gateway makes this response; it can be streamed when done.", retry_after=5)
            if not stored.events:
                raise InvalidRequest("Only responses made with 'background' and 'stream' can be streamed again.")
            events = b"".join(split(stored.events)[start:])
            return ready(events, sse.MEDIA_TYPE)
        if run is not None:
            return ready(sse.JSON.encode(run.encoder.response))
        return ready((await find(response_id, gateway.records, owner)).response)

    @delete(
        ["/v1/responses/{response_id:str}", "/responses/{response_id:str}"],
        status_code=200,
        opt={"permission": "infer", "answers": answer.Deleted},
    )
    async def remove(request: GatewayRequest, gateway: InjectedGateway, response_id: FromPath[str]) -> ASGIResponse:
        await find(response_id, gateway.records, request.user.id)
        await runs.cancel(response_id)
        store.delete(gateway.records, request.user.id, response_id)
        return ready(sse.JSON.encode(answer.Deleted(id=response_id)))

    @post(
        ["/v1/responses/{response_id:str}/cancel", "/responses/{response_id:str}/cancel"],
        status_code=200,
        opt={"permission": "infer", "answers": answer.Response},
    )
    async def cancel(request: GatewayRequest, gateway: InjectedGateway, response_id: FromPath[str]) -> ASGIResponse:
        records, owner = gateway.records, request.user.id
        stored = await find(response_id, records, owner)
        if not msgspec.json.decode(stored.response)["background"]:
            raise InvalidRequest("Cannot cancel a synchronous response; close its connection instead.")
        if stored.vouched and runs.get(response_id, owner) is None:
            raise Unavailable("Another gateway makes this response; only that one can cancel it.", retry_after=5)
        await runs.cancel(response_id)
        return ready((await find(response_id, records, owner)).response)

    @get(
        ["/v1/responses/{response_id:str}/input_items", "/responses/{response_id:str}/input_items"],
        opt={"permission": "infer", "query": ItemsQuery, "answers": answer.ItemList},
    )
    async def input_items(
        request: GatewayRequest, gateway: InjectedGateway, response_id: FromPath[str]
    ) -> ASGIResponse:
        asked = query(request, ItemsQuery)
        stored = await find(response_id, gateway.records, request.user.id)
        found: list[dict[str, Any]] = msgspec.json.decode(stored.items)
        return ready(sse.JSON.encode(_page(found, asked)))

    return (create, count, retrieve, remove, cancel, input_items)


def _unstored(wire: ResponsesRequest) -> ResponsesRequest:
    """As if the caller had asked that nothing be kept: the answer says so."""
    if wire.background:
        raise InvalidValue("This server keeps no responses, which 'background' needs.", param="background")
    return msgspec.structs.replace(wire, store=False)


def _identified(item: Item) -> Item:
    kind = item.type or "message"
    return msgspec.structs.replace(item, type=kind, id=item.id or ids.new(_PREFIXES.get(kind, "msg_")))


def _page(items: list[dict[str, Any]], asked: ItemsQuery) -> answer.ItemList:
    ordered = items if asked.order == "asc" else items[::-1]
    if asked.after is not None:
        at = next((index for index, item in enumerate(ordered) if item.get("id") == asked.after), None)
        if at is None:
            raise InvalidValue("Invalid value for 'after': no item of that id.", param="after")
        ordered = ordered[at + 1 :]
    page = ordered[: asked.limit]
    return answer.ItemList(
        data=page,
        first_id=page[0].get("id") if page else None,
        last_id=page[-1].get("id") if page else None,
        has_more=len(ordered) > asked.limit,
    )


__all__ = ("routes",)

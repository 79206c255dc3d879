"""POST /v1/messages and /v1/messages/count_tokens."""

from __future__ import annotations

from collections.abc import Sequence

from litestar import post
from litestar.response.base import ASGIResponse
from litestar.types import ControllerRouterHandler

from hyperllama.stream import TokenStream, collect
from hyperllama.web import (
    Fetcher,
    GatewayRequest,
    InjectedGateway,
    TokenResponse,
    WholeResponse,
    caller,
    request_id,
)
from hyperllama_anthropic import decode, encode, fetching
from hyperllama_anthropic.body import read
from hyperllama_anthropic.settings import Settings
from hyperllama_anthropic.wire import Count, CountRequest, Message, MessagesRequest


def routes(settings: Settings, remote: Fetcher) -> Sequence[ControllerRouterHandler]:
    @post(
        "/v1/messages",
        status_code=200,
        opt={
            "permission": "infer",
            "encodings": ("zstd",),
            "accepts": MessagesRequest,
            "answers": Message,
            "streams": encode.MEDIA_TYPE,
        },
    )
    async def messages(request: GatewayRequest, gateway: InjectedGateway) -> ASGIResponse:
        wire = await read(request, MessagesRequest, strict=settings.strict)
        info = gateway.model(wire.model, request.user)
        asked = decode.message(await fetching.images(wire, info, remote), info)
        who = caller(request, "anthropic")
        message_id = encode.new_id("msg_")
        headers = {"request-id": request_id(request.scope)}  # where Anthropic's clients look for it
        if wire.stream:

            async def start() -> Sequence[TokenStream]:
                return (await gateway.generate(asked, who),)

            encoder = encode.MessageEncoder(id=message_id, model=wire.model)
            return TokenResponse(start, encoder, headers={**headers, "x-accel-buffering": "no"})

        async def work() -> bytes:
            completion = await collect(await gateway.generate(asked, who))
            return encode.message(completion, id=message_id, model=wire.model)

        return WholeResponse(work, headers=headers)

    @post(
        "/v1/messages/count_tokens",
        status_code=200,
        opt={"permission": "infer", "accepts": CountRequest, "answers": Count},
    )
    async def count_tokens(request: GatewayRequest, gateway: InjectedGateway) -> ASGIResponse:
        wire = await read(request, CountRequest, strict=False)
        info = gateway.model(wire.model, request.user)
        wire = await fetching.images(wire, info, remote)
        chat, tools, reasoning = decode.chat(wire), decode.tools(wire), decode.reasoning(wire, info)
        who = caller(request, "anthropic")

        async def work() -> bytes:
            ids = await gateway.tokenize(wire.model, chat, who, tools=tools, reasoning=reasoning)
            return encode.JSON.encode(Count(len(ids)))

        return WholeResponse(work, headers={"request-id": request_id(request.scope)})

    return (messages, count_tokens)


__all__ = ("routes",)

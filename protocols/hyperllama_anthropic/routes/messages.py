"""POST /v1/messages and /v1/messages/count_tokens."""

from __future__ import annotations

from collections.abc import Sequence

from litestar import post
from litestar.response.base import ASGIResponse
from litestar.types import ControllerRouterHandler

from hyperllama.generation import GenerationRequest
from hyperllama.identity import Caller
from hyperllama.spi import Gateway
from hyperllama.stream import TokenStream, collect
from hyperllama.web import (
    BodyReader,
    GatewayRequest,
    InjectedGateway,
    Resource,
    TokenResponse,
    WholeResponse,
    caller,
    request_id,
    route,
    tools_left_out,
)
from hyperllama_anthropic import encode
from hyperllama_anthropic.decode import messages as decode
from hyperllama_anthropic.decode.tools import ignored
from hyperllama_anthropic.fetching import Inlining
from hyperllama_anthropic.settings import Settings
from hyperllama_anthropic.wire import Count, CountRequest, Message, MessagesRequest


class MessageRoutes(Resource):
    """Messages, streamed or whole, and the counts of their tokens."""

    def __init__(self, settings: Settings, reader: BodyReader, inlining: Inlining) -> None:
        self._settings = settings
        self._reader = reader
        self._inlining = inlining

    @property
    def handlers(self) -> Sequence[ControllerRouterHandler]:
        """The route handlers, to be mounted by the protocol."""
        made = route(
            permission="infer",
            encodings=("zstd",),
            accepts=MessagesRequest,
            answers=Message,
            streams=encode.MEDIA_TYPE,
        )
        counted = route(permission="infer", accepts=CountRequest, answers=Count)
        return (
            post("/v1/messages", status_code=200, opt=made)(self.messages),
            post("/v1/messages/count_tokens", status_code=200, opt=counted)(self.count_tokens),
        )

    async def messages(self, request: GatewayRequest, gateway: InjectedGateway) -> ASGIResponse:
        """Answer a conversation."""
        body = await self._reader.read(request, MessagesRequest, strict=self._settings.strict)
        info = gateway.model(body.value.model, request.user)
        wire = await self._inlining.of(body.value, info, request.user.id)
        generation = await body.run(decode.message, wire, info)
        # The id where Anthropic's clients look for it.
        headers = {"request-id": request_id(request.scope), **tools_left_out(ignored(wire))}
        answer = _stream if wire.stream else _whole
        return answer(gateway, generation, caller(request, "anthropic"), model=wire.model, headers=headers)

    async def count_tokens(self, request: GatewayRequest, gateway: InjectedGateway) -> ASGIResponse:
        """Count the tokens of a conversation."""
        body = await self._reader.read(request, CountRequest)
        info = gateway.model(body.value.model, request.user)
        wire = await self._inlining.of(body.value, info, request.user.id)
        chat, tools, reasoning = await body.run(decode.prompt, wire, info)
        who = caller(request, "anthropic")

        async def work() -> bytes:
            ids = await gateway.tokenize(wire.model, chat, who, tools=tools, reasoning=reasoning)
            return encode.JSON.encode(Count(len(ids)))

        return WholeResponse(work, headers={"request-id": request_id(request.scope)})


def _stream(
    gateway: Gateway, generation: GenerationRequest, who: Caller, *, model: str, headers: dict[str, str]
) -> ASGIResponse:
    async def start() -> Sequence[TokenStream]:
        return (await gateway.generate(generation, who),)

    encoder = encode.MessageEncoder(id=encode.new_id("msg_"), model=model)
    return TokenResponse(start, encoder, headers={**headers, "x-accel-buffering": "no"})


def _whole(
    gateway: Gateway, generation: GenerationRequest, who: Caller, *, model: str, headers: dict[str, str]
) -> ASGIResponse:
    message_id = encode.new_id("msg_")

    async def work() -> bytes:
        completion = await collect(await gateway.generate(generation, who))
        return encode.message(completion, id=message_id, model=model)

    return WholeResponse(work, headers=headers)


__all__ = ("MessageRoutes",)

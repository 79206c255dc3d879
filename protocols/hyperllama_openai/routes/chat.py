"""POST /v1/chat/completions."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import TypeAlias

import msgspec
from litestar import post
from litestar.response.base import ASGIResponse
from litestar.types import ControllerRouterHandler

from hyperllama.generation import GenerationRequest, NamedTool
from hyperllama.identity import Caller
from hyperllama.spi import ChunkEncoder, Gateway
from hyperllama.web import (
    BodyReader,
    GatewayRequest,
    InjectedGateway,
    Resource,
    TokenResponse,
    caller,
    route,
)
from hyperllama_openai import fanout, fetching, ids
from hyperllama_openai.chat_store import ChatStore, StoredChat, StoringEncoder
from hyperllama_openai.decode.chat import chat as decode_chat
from hyperllama_openai.decode.metadata import metadata
from hyperllama_openai.decode.reasoning import shown
from hyperllama_openai.decode.tools import tools as offered
from hyperllama_openai.encode import sse
from hyperllama_openai.encode.chat import chat as encode_chat
from hyperllama_openai.encode.chat_stream import ChatEncoder
from hyperllama_openai.encode.logprobs import of_content
from hyperllama_openai.encode.shape import ReplyShape
from hyperllama_openai.fetching import Sources
from hyperllama_openai.reply import Timed
from hyperllama_openai.settings import Settings
from hyperllama_openai.wire.chat import ChatCompletion, ChatRequest

Keep: TypeAlias = Callable[[bytes], None]  # the JSON of a whole completion


class ChatRoutes(Resource):
    """Chat completions, streamed or whole."""

    def __init__(self, settings: Settings, reader: BodyReader, sources: Sources) -> None:
        self._settings = settings
        self._reader = reader
        self._sources = sources
        self._store = ChatStore(settings.response_ttl)

    @property
    def handlers(self) -> Sequence[ControllerRouterHandler]:
        """The route handlers, to be mounted by the protocol."""
        declared = route(
            permission="infer",
            encodings=("zstd",),
            accepts=ChatRequest,
            answers=ChatCompletion,
            streams=sse.MEDIA_TYPE,
        )
        return (post("/chat/completions", status_code=200, opt=declared)(self.chat_completions),)

    async def chat_completions(self, request: GatewayRequest, gateway: InjectedGateway) -> ASGIResponse:
        """Complete a chat."""
        body = await self._reader.read(request, ChatRequest, strict=self._settings.strict)
        info = gateway.model(body.value.model, request.user)
        wire = await fetching.chat(body.value, self._sources.of(info, gateway, request.user))
        box = await body.run(offered, wire.tools)
        requests = await body.run(decode_chat, wire, info, self._settings, box)
        who = caller(request, "openai")
        named = isinstance(requests[0].tool_choice, NamedTool)
        shape = ReplyShape(
            id=ids.new("chatcmpl-"),
            created=int(time.time()),
            model=wire.model,
            n=len(requests),
            include_usage=wire.stream_options is not None and bool(wire.stream_options.include_usage),
            logprobs=(wire.top_logprobs or 0) if wire.logprobs else None,
            with_stop=bool(wire.include_stop_str_in_output),
            show_reasoning=shown(wire),
            named_finish=self._settings.named_tool_finish if named else "",
            token_ids=bool(wire.return_token_ids),
            custom={one.spec.name: one.name for one in box.offered if one.kind == "custom"},
        )
        keep = None
        if body.value.store and self._store.enabled:
            keep = self._keep(gateway, request.user.id, await body.run(_kept, body.value, shape))
        return (_stream if wire.stream else _whole)(gateway, requests, who, shape, keep)

    def _keep(self, gateway: Gateway, owner: str, stored: StoredChat) -> Keep:
        def keep(completion: bytes) -> None:
            self._store.put(gateway.records, owner, msgspec.structs.replace(stored, completion=completion))

        return keep


def _kept(wire: ChatRequest, shape: ReplyShape) -> StoredChat:
    """Return what is stored of a request, still without its answer. Raise InvalidType or InvalidValue."""
    return StoredChat(
        id=shape.id,
        created=time.time(),
        model=wire.model,
        completion=b"",
        messages=sse.JSON.encode(wire.messages),
        metadata=metadata(wire.metadata),
    )


def _stream(
    gateway: Gateway, requests: Sequence[GenerationRequest], who: Caller, shape: ReplyShape, keep: Keep | None
) -> ASGIResponse:
    encoder: ChunkEncoder = ChatEncoder(shape)
    if keep is not None:
        encoder = StoringEncoder(encoder, shape, keep)
    return TokenResponse(lambda: fanout.start(gateway, requests, who), encoder, headers=sse.HEADERS)


def _whole(
    gateway: Gateway, requests: Sequence[GenerationRequest], who: Caller, shape: ReplyShape, keep: Keep | None
) -> ASGIResponse:
    async def work() -> bytes:
        found = await fanout.whole(gateway, requests, who, None if shape.logprobs is None else of_content)
        body = encode_chat(found, shape)
        if keep is not None:
            keep(body)
        return body

    return Timed(work)


__all__ = ("ChatRoutes",)

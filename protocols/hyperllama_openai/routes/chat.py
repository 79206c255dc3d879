"""POST /v1/chat/completions."""

from __future__ import annotations

import time
from collections.abc import Sequence

from litestar import post
from litestar.response.base import ASGIResponse
from litestar.types import ControllerRouterHandler

from hyperllama.generation import NamedTool
from hyperllama.web import Fetcher, GatewayRequest, InjectedGateway, TokenResponse, caller
from hyperllama_openai import fanout, fetching, ids
from hyperllama_openai.body import read
from hyperllama_openai.decode.chat import chat as decode_chat
from hyperllama_openai.decode.reasoning import shown
from hyperllama_openai.encode import sse
from hyperllama_openai.encode.chat import chat as encode_chat
from hyperllama_openai.encode.chat_stream import ChatEncoder
from hyperllama_openai.encode.logprobs import of_content
from hyperllama_openai.reply import Timed
from hyperllama_openai.settings import Settings
from hyperllama_openai.wire.chat import ChatCompletion, ChatRequest


def routes(settings: Settings, remote: Fetcher) -> Sequence[ControllerRouterHandler]:
    @post(
        ["/v1/chat/completions", "/chat/completions"],
        status_code=200,
        opt={
            "permission": "infer",
            "encodings": ("zstd",),
            "accepts": ChatRequest,
            "answers": ChatCompletion,
            "streams": sse.MEDIA_TYPE,
        },
    )
    async def chat_completions(request: GatewayRequest, gateway: InjectedGateway) -> ASGIResponse:
        wire = await read(request, ChatRequest, strict=settings.strict)
        info = gateway.model(wire.model, request.user)
        requests = decode_chat(await fetching.chat(wire, info, remote), info, settings)
        who = caller(request, "openai")
        named = isinstance(requests[0].tool_choice, NamedTool)
        chat_id, created = ids.new("chatcmpl-"), int(time.time())
        named_finish = settings.named_tool_finish if named else ""
        if wire.stream:
            encoder = ChatEncoder(
                id=chat_id,
                created=created,
                model=wire.model,
                n=len(requests),
                include_usage=wire.stream_options is not None and bool(wire.stream_options.include_usage),
                with_logprobs=bool(wire.logprobs),
                with_stop=bool(wire.include_stop_str_in_output),
                show_reasoning=shown(wire),
                named_finish=named_finish,
                token_ids=bool(wire.return_token_ids),
            )
            return TokenResponse(lambda: fanout.start(gateway, requests, who), encoder, headers=sse.HEADERS)

        async def work() -> bytes:
            found = await fanout.whole(gateway, requests, who, of_content if wire.logprobs else None)
            return encode_chat(
                found,
                id=chat_id,
                created=created,
                model=wire.model,
                with_logprobs=bool(wire.logprobs),
                with_stop=bool(wire.include_stop_str_in_output),
                show_reasoning=shown(wire),
                named_finish=named_finish,
                token_ids=bool(wire.return_token_ids),
            )

        return Timed(work)

    return (chat_completions,)


__all__ = ("routes",)

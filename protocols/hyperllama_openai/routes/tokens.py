"""POST /tokenize and /detokenize, as vLLM has them."""

from __future__ import annotations

from collections.abc import Sequence

from litestar import post
from litestar.response.base import ASGIResponse
from litestar.types import ControllerRouterHandler
from msgspec import UNSET, UnsetType

from hyperllama.web import GatewayRequest, InjectedGateway, caller
from hyperllama_openai.body import read
from hyperllama_openai.decode.tokens import tokens as decode
from hyperllama_openai.decode.tools import tools as offered
from hyperllama_openai.encode import sse
from hyperllama_openai.reply import Timed
from hyperllama_openai.settings import Settings
from hyperllama_openai.wire.models import Detokenized, DetokenizeRequest, TokenizeRequest, Tokens


def routes(settings: Settings) -> Sequence[ControllerRouterHandler]:
    @post(
        ["/tokenize", "/v1/tokenize"],
        status_code=200,
        opt={"permission": "infer", "accepts": TokenizeRequest, "answers": Tokens},
    )
    async def tokenize(request: GatewayRequest, gateway: InjectedGateway) -> ASGIResponse:
        wire = await read(request, TokenizeRequest, strict=settings.strict)
        info = gateway.model(wire.model, request.user)
        asked, tools = decode(wire, settings), offered(wire.tools)
        who = caller(request, "openai")

        async def work() -> bytes:
            found = await gateway.tokenize(wire.model, asked, who, tools=tools)
            strings: list[str] | UnsetType = UNSET
            if wire.return_token_strs:
                strings = [await gateway.detokenize(wire.model, (token,), who) for token in found]
            return sse.JSON.encode(
                Tokens(count=len(found), max_model_len=info.context_length, tokens=list(found), token_strs=strings)
            )

        return Timed(work)

    @post(
        ["/detokenize", "/v1/detokenize"],
        status_code=200,
        opt={"permission": "infer", "accepts": DetokenizeRequest, "answers": Detokenized},
    )
    async def detokenize(request: GatewayRequest, gateway: InjectedGateway) -> ASGIResponse:
        wire = await read(request, DetokenizeRequest, strict=settings.strict)
        who = caller(request, "openai")

        async def work() -> bytes:
            text = await gateway.detokenize(wire.model, wire.tokens, who)
            return sse.JSON.encode(Detokenized(prompt=text, content=text))

        return Timed(work)

    return (tokenize, detokenize)


__all__ = ("routes",)

"""POST /v1/rerank and /v1/score, over any embedding model."""

from __future__ import annotations

import time
from collections.abc import Sequence

from litestar import post
from litestar.response.base import ASGIResponse
from litestar.types import ControllerRouterHandler

from hyperllama.web import GatewayRequest, InjectedGateway, caller
from hyperllama_openai import ids
from hyperllama_openai.body import read
from hyperllama_openai.decode import rerank as decode
from hyperllama_openai.encode import rerank as encode
from hyperllama_openai.reply import Timed
from hyperllama_openai.settings import Settings
from hyperllama_openai.wire.rerank import RerankRequest, RerankResponse, ScoreRequest, ScoreResponse


def routes(settings: Settings) -> Sequence[ControllerRouterHandler]:
    @post(
        ["/v1/rerank", "/rerank", "/v2/rerank"],
        status_code=200,
        opt={"permission": "infer", "accepts": RerankRequest, "answers": RerankResponse},
    )
    async def rerank(request: GatewayRequest, gateway: InjectedGateway) -> ASGIResponse:
        wire = await read(request, RerankRequest, strict=settings.strict)
        asked = decode.rerank(wire, settings)
        who = caller(request, "openai")

        async def work() -> bytes:
            return encode.rerank(await gateway.embed(asked, who), wire, id=ids.new("rerank-"))

        return Timed(work)

    @post(
        ["/v1/score", "/score"],
        status_code=200,
        opt={"permission": "infer", "accepts": ScoreRequest, "answers": ScoreResponse},
    )
    async def score(request: GatewayRequest, gateway: InjectedGateway) -> ASGIResponse:
        wire = await read(request, ScoreRequest, strict=settings.strict)
        asked, first = decode.score(wire, settings)
        who = caller(request, "openai")

        async def work() -> bytes:
            found = await gateway.embed(asked, who)
            return encode.score(found, first, id=ids.new("score-"), created=int(time.time()), model=wire.model)

        return Timed(work)

    return (rerank, score)


__all__ = ("routes",)

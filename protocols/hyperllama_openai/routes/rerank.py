"""POST /v1/rerank and /v1/score, over any embedding model."""

from __future__ import annotations

import time
from collections.abc import Sequence

from litestar import post
from litestar.response.base import ASGIResponse
from litestar.types import ControllerRouterHandler

from hyperllama.web import BodyReader, GatewayRequest, InjectedGateway, Resource, caller, route
from hyperllama_openai import ids
from hyperllama_openai.decode import rerank as decode
from hyperllama_openai.encode import rerank as encode
from hyperllama_openai.reply import Timed
from hyperllama_openai.settings import Settings
from hyperllama_openai.wire.rerank import RerankRequest, RerankResponse, ScoreRequest, ScoreResponse

_RERANK = route(permission="infer", accepts=RerankRequest, answers=RerankResponse)


class RerankRoutes(Resource):
    """Similarities of texts."""

    def __init__(self, settings: Settings, reader: BodyReader) -> None:
        self._settings = settings
        self._reader = reader

    @property
    def handlers(self) -> Sequence[ControllerRouterHandler]:
        """The route handlers, to be mounted by the protocol."""
        return (
            post("/rerank", status_code=200, opt=_RERANK)(self.rerank),
            post("/score", status_code=200, opt=route(permission="infer", accepts=ScoreRequest, answers=ScoreResponse))(
                self.score
            ),
        )

    @property
    def second_version(self) -> Sequence[ControllerRouterHandler]:
        """Cohere's second version of the path, with the same body."""
        return (post("/v2/rerank", status_code=200, opt=_RERANK)(self.rerank),)

    async def rerank(self, request: GatewayRequest, gateway: InjectedGateway) -> ASGIResponse:
        """Order documents by their likeness to a query."""
        body = await self._reader.read(request, RerankRequest, strict=self._settings.strict)
        wire = body.value
        inputs = await body.run(decode.rerank, wire, self._settings)
        who = caller(request, "openai")

        async def work() -> bytes:
            return encode.rerank(await gateway.embed(inputs, who), wire, id=ids.new("rerank-"))

        return Timed(work)

    async def score(self, request: GatewayRequest, gateway: InjectedGateway) -> ASGIResponse:
        """Score pairs of texts by their likeness."""
        body = await self._reader.read(request, ScoreRequest, strict=self._settings.strict)
        wire = body.value
        inputs, first = await body.run(decode.score, wire, self._settings)
        who = caller(request, "openai")

        async def work() -> bytes:
            found = await gateway.embed(inputs, who)
            return encode.score(found, first, id=ids.new("score-"), created=int(time.time()), model=wire.model)

        return Timed(work)


__all__ = ("RerankRoutes",)

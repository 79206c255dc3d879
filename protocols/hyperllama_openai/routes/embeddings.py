"""POST /v1/embeddings."""

from __future__ import annotations

from collections.abc import Sequence

from litestar import post
from litestar.response.base import ASGIResponse
from litestar.types import ControllerRouterHandler

from hyperllama.web import BodyReader, GatewayRequest, InjectedGateway, Resource, caller, route
from hyperllama_openai.decode.embeddings import embeddings as decode
from hyperllama_openai.encode.embeddings import embeddings as encode
from hyperllama_openai.reply import Timed
from hyperllama_openai.settings import Settings
from hyperllama_openai.wire.embeddings import EmbeddingList, EmbeddingRequest


class EmbeddingRoutes(Resource):
    """Vectors of texts."""

    def __init__(self, settings: Settings, reader: BodyReader) -> None:
        self._settings = settings
        self._reader = reader

    @property
    def handlers(self) -> Sequence[ControllerRouterHandler]:
        """The route handlers, to be mounted by the protocol."""
        declared = route(permission="infer", encodings=("zstd",), accepts=EmbeddingRequest, answers=EmbeddingList)
        return (post("/embeddings", status_code=200, opt=declared)(self.embeddings),)

    async def embeddings(self, request: GatewayRequest, gateway: InjectedGateway) -> ASGIResponse:
        """Embed texts or token ids."""
        body = await self._reader.read(request, EmbeddingRequest, strict=self._settings.strict)
        wire = body.value
        inputs = await body.run(decode, wire, gateway.model(wire.model, request.user), self._settings)
        who = caller(request, "openai")

        async def work() -> bytes:
            found = await gateway.embed(inputs, who)
            return encode(found, model=wire.model, base64=wire.encoding_format == "base64")

        return Timed(work)


__all__ = ("EmbeddingRoutes",)

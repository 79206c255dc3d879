"""POST /v1/embeddings."""

from __future__ import annotations

from collections.abc import Sequence

from litestar import post
from litestar.response.base import ASGIResponse
from litestar.types import ControllerRouterHandler

from hyperllama.web import GatewayRequest, InjectedGateway, caller
from hyperllama_openai.body import read
from hyperllama_openai.decode.embeddings import embeddings as decode
from hyperllama_openai.encode.embeddings import embeddings as encode
from hyperllama_openai.reply import Timed
from hyperllama_openai.settings import Settings
from hyperllama_openai.wire.embeddings import EmbeddingList, EmbeddingRequest


def routes(settings: Settings) -> Sequence[ControllerRouterHandler]:
    @post(
        ["/v1/embeddings", "/embeddings"],
        status_code=200,
        opt={"permission": "infer", "encodings": ("zstd",), "accepts": EmbeddingRequest, "answers": EmbeddingList},
    )
    async def embeddings(request: GatewayRequest, gateway: InjectedGateway) -> ASGIResponse:
        wire = await read(request, EmbeddingRequest, strict=settings.strict)
        asked = decode(wire, gateway.model(wire.model, request.user), settings)
        who = caller(request, "openai")

        async def work() -> bytes:
            found = await gateway.embed(asked, who)
            return encode(found, model=wire.model, base64=wire.encoding_format == "base64")

        return Timed(work)

    return (embeddings,)


__all__ = ("routes",)

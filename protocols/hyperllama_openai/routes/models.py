"""GET /v1/models and GET /v1/models/{id}; ids hold slashes, raw or as ``%2F``."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from litestar import Response, get
from litestar.params import FromPath
from litestar.types import ControllerRouterHandler

from hyperllama.web.streaming import GatewayRequest, InjectedGateway
from hyperllama_openai.encode import models as encode


def routes(*, since: int) -> Sequence[ControllerRouterHandler]:
    @get(["/v1/models", "/models"], opt={"permission": "models:read"})
    async def list_models(request: GatewayRequest, gateway: InjectedGateway) -> Response[bytes]:
        return _json(encode.listing(gateway.models(request.user), since=since))

    @get(["/v1/models/{model:path}", "/models/{model:path}"], opt={"permission": "models:read"})
    async def retrieve_model(request: GatewayRequest, gateway: InjectedGateway, model: FromPath[Path]) -> Response[bytes]:
        name = str(model).lstrip("/")
        return _json(encode.one(gateway.model(name, request.user), name, since=since))

    return (list_models, retrieve_model)


def _json(body: bytes) -> Response[bytes]:
    return Response(body, media_type="application/json")


__all__ = ("routes",)

"""GET /v1/models and GET /v1/models/{id}; ids hold slashes, raw or as ``%2F``."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from litestar import get
from litestar.params import FromPath
from litestar.response.base import ASGIResponse
from litestar.types import ControllerRouterHandler

from hyperllama.errors import CloudDisabled
from hyperllama.web import GatewayRequest, InjectedGateway
from hyperllama_openai.encode import models as encode
from hyperllama_openai.reply import ready
from hyperllama_openai.wire.models import Model, ModelList


def routes(*, since: int) -> Sequence[ControllerRouterHandler]:
    @get(["/v1/models", "/models"], opt={"permission": "models:read", "answers": ModelList})
    async def list_models(request: GatewayRequest, gateway: InjectedGateway) -> ASGIResponse:
        return ready(encode.listing(gateway.models(request.user), since=since))

    @get(["/v1/models/{model:path}", "/models/{model:path}"], opt={"permission": "models:read", "answers": Model})
    async def retrieve_model(request: GatewayRequest, gateway: InjectedGateway, model: FromPath[Path]) -> ASGIResponse:
        name = str(model).lstrip("/")
        try:
            info = gateway.model(name, request.user)
        except CloudDisabled as error:
            raise CloudDisabled("ollama cloud is disabled: remote model details are unavailable") from error
        return ready(encode.one(info, name, since=since))

    return (list_models, retrieve_model)


__all__ = ("routes",)

"""GET /v1/models and GET /v1/models/{id}; ids hold slashes, raw or as ``%2F``."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from litestar import get
from litestar.params import FromPath
from litestar.response.base import ASGIResponse
from litestar.types import ControllerRouterHandler

from hyperllama.web import GatewayRequest, InjectedGateway, Resource, route
from hyperllama_openai.encode import models as encode
from hyperllama_openai.reply import ready
from hyperllama_openai.wire.models import Model, ModelList


class ModelRoutes(Resource):
    """The models that the caller may use."""

    def __init__(self, *, since: int) -> None:
        """Take ``since``: creation time of every model, unix seconds."""
        self._since = since

    @property
    def handlers(self) -> Sequence[ControllerRouterHandler]:
        """The route handlers, to be mounted by the protocol."""
        return (
            get("/models", opt=route(permission="models:read", answers=ModelList))(self.list_models),
            get("/models/{model:path}", opt=route(permission="models:read", answers=Model))(self.retrieve_model),
        )

    async def list_models(self, request: GatewayRequest, gateway: InjectedGateway) -> ASGIResponse:
        """List all models."""
        return ready(encode.listing(gateway.models(request.user), since=self._since))

    async def retrieve_model(
        self, request: GatewayRequest, gateway: InjectedGateway, model: FromPath[Path]
    ) -> ASGIResponse:
        """Return one model."""
        name = str(model).lstrip("/")
        info = gateway.model(name, request.user)
        return ready(encode.one(info, name, since=self._since))


__all__ = ("ModelRoutes",)

"""GET /v1/models, GET and DELETE /v1/models/{id}; ids hold slashes, raw or as ``%2F``."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from litestar import delete, get
from litestar.params import FromPath
from litestar.response.base import ASGIResponse
from litestar.types import ControllerRouterHandler

from hyperllama.web import GatewayRequest, InjectedGateway, Resource, caller, route
from hyperllama_openai.encode import models as encode
from hyperllama_openai.encode import sse
from hyperllama_openai.reply import ready
from hyperllama_openai.wire.models import Model, ModelDeleted, ModelList


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
            delete("/models/{model:path}", status_code=200, opt=route(permission="models:write", answers=ModelDeleted))(
                self.remove_model
            ),
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

    async def remove_model(
        self, request: GatewayRequest, gateway: InjectedGateway, model: FromPath[Path]
    ) -> ASGIResponse:
        """Delete a model of the store; the store refuses to lose one of the configuration."""
        name = str(model).lstrip("/")
        stored = gateway.model(name, request.user).name
        await gateway.model_store.delete(stored if ":" in stored else f"{stored}:latest", caller(request, "openai"))
        return ready(sse.JSON.encode(ModelDeleted(id=name)))


__all__ = ("ModelRoutes",)

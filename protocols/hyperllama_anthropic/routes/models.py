"""GET /v1/models and /v1/models/{id} for clients of Anthropic's: those that send ``anthropic-version``."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from litestar import get
from litestar.params import FromPath
from litestar.response.base import ASGIResponse
from litestar.types import ControllerRouterHandler

from hyperllama.errors import NotFound
from hyperllama.models import ModelInfo
from hyperllama.web import BodyReader, GatewayRequest, InjectedGateway, Resource, route
from hyperllama_anthropic import model_wire as wire
from hyperllama_anthropic.batch_encode import moment
from hyperllama_anthropic.batch_wire import PageQuery
from hyperllama_anthropic.errors import OWN
from hyperllama_anthropic.reply import ready
from hyperllama_anthropic.routes.pages import check_page


class ModelRoutes(Resource):
    """The models that the caller may use, by every name of theirs."""

    def __init__(self, reader: BodyReader, *, since: float, batches: bool) -> None:
        """Take ``since``: creation time of a model without files, unix seconds; ``batches``: there are some."""
        self._reader = reader
        self._since = since
        self._batches = batches

    @property
    def handlers(self) -> Sequence[ControllerRouterHandler]:
        """The route handlers, to be mounted by the protocol."""
        listed = route(permission="models:read", query=PageQuery, answers=wire.ModelPage)
        one = route(permission="models:read", answers=wire.Model)
        return (
            get(f"{OWN}/v1/models", opt=listed)(self.list_models),
            get(f"{OWN}/v1/models/{{model:path}}", opt=one)(self.retrieve_model),
        )

    async def list_models(self, request: GatewayRequest, gateway: InjectedGateway) -> ASGIResponse:
        """List models, newest first, page by page. All of them are active."""
        query = check_page(self._reader.query(request, PageQuery))
        stages = [*request.query_params.getall("lifecycle", []), *request.query_params.getall("lifecycle[]", [])]
        every = [] if stages and "active" not in stages else gateway.models(request.user)
        names = [(info, name) for info in every for name in (info.name, *info.aliases)]
        if query.before_id is not None:
            names = names[: _place(names, query.before_id)]
            shown = names[-query.limit :]
        else:
            names = names[_place(names, query.after_id) + 1 if query.after_id is not None else 0 :]
            shown = names[: query.limit]
        data = [self._model(info, name) for info, name in shown]
        first, last = (data[0].id, data[-1].id) if data else (None, None)
        return ready(wire.ModelPage(data=data, has_more=len(names) > len(shown), first_id=first, last_id=last))

    async def retrieve_model(
        self, request: GatewayRequest, gateway: InjectedGateway, model: FromPath[Path]
    ) -> ASGIResponse:
        """Describe one model."""
        name = str(model).lstrip("/")
        return ready(self._model(gateway.model(name, request.user), name))

    def _model(self, info: ModelInfo, name: str) -> wire.Model:
        chats = wire.Support("chat" in info.capabilities)
        thinks = wire.Support("thinking" in info.capabilities)
        kinds = ("adaptive", "between_tools", "disabled", "enabled")
        capabilities = wire.Capabilities(
            batch=wire.Support(self._batches and chats.supported),
            effort=wire.Effort(
                supported=thinks.supported, low=thinks, medium=thinks, high=thinks, xhigh=thinks, max=thinks
            ),
            image_input=wire.Support("vision" in info.capabilities),
            pdf_input=chats,
            structured_outputs=wire.Support("structured" in info.capabilities),
            thinking=wire.Thinking(
                supported=thinks.supported,
                types={kind: chats if kind == "disabled" else thinks for kind in kinds},
            ),
        )
        return wire.Model(
            id=name,
            display_name=name,
            created_at=moment(int(info.modified) or self._since),
            max_input_tokens=info.context_length,
            max_tokens=info.context_length,
            capabilities=capabilities,
        )


def _place(names: Sequence[tuple[ModelInfo, str]], id: str) -> int:
    for place, (_, name) in enumerate(names):
        if name == id:
            return place
    raise NotFound(f"There is no model '{id[:80]}' to begin a page at.")


__all__ = ("ModelRoutes",)

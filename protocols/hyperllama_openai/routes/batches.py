"""Batches: many requests in a file, answered within a day, while the models are idle."""

from __future__ import annotations

from collections.abc import Sequence

from litestar import get, post
from litestar.params import FromPath
from litestar.response.base import ASGIResponse
from litestar.types import ControllerRouterHandler

from hyperllama.spi import NewBatch
from hyperllama.web import BodyReader, GatewayRequest, InjectedGateway, Resource, caller, route
from hyperllama_openai.batch_lines import ENDPOINTS
from hyperllama_openai.decode.metadata import NAME, PAIRS, VALUE, fits
from hyperllama_openai.encode import batches as encode
from hyperllama_openai.encode import sse
from hyperllama_openai.errors import InvalidValue
from hyperllama_openai.reply import ready
from hyperllama_openai.settings import Settings
from hyperllama_openai.wire import files as wire

PROTOCOL = "openai"  # batches of other dialects are not found here
WINDOWS = {"24h": 86_400.0}


class BatchRoutes(Resource):
    """The caller's batches."""

    def __init__(self, settings: Settings, reader: BodyReader) -> None:
        self._settings = settings
        self._reader = reader

    @property
    def handlers(self) -> Sequence[ControllerRouterHandler]:
        """The route handlers, to be mounted by the protocol."""
        one = route(permission="infer", answers=wire.Batch)
        return (
            post(
                "/batches",
                status_code=200,
                opt=route(permission="infer", accepts=wire.BatchRequest, answers=wire.Batch),
            )(self.create_batch),
            get("/batches", opt=route(permission="infer", query=wire.BatchesQuery, answers=wire.BatchList))(
                self.list_batches
            ),
            get("/batches/{batch_id:str}", opt=one)(self.retrieve_batch),
            post("/batches/{batch_id:str}/cancel", status_code=200, opt=one)(self.cancel_batch),
        )

    async def create_batch(self, request: GatewayRequest, gateway: InjectedGateway) -> ASGIResponse:
        """Begin a batch over an uploaded file."""
        body = (await self._reader.read(request, wire.BatchRequest, strict=self._settings.strict)).value
        _check_option(body.endpoint, "endpoint", ENDPOINTS)
        _check_option(body.completion_window, "completion_window", tuple(WINDOWS))
        notes = body.metadata or {}
        if not fits(notes):
            text = f"at most {PAIRS} pairs, keys of {NAME} and values of {VALUE} characters"
            raise InvalidValue(f"Invalid value for 'metadata': {text}.", param="metadata")
        life = body.output_expires_after
        wanted = NewBatch(
            protocol=PROTOCOL,
            endpoint=body.endpoint,
            input_file=body.input_file_id,
            seconds=WINDOWS[body.completion_window],
            output_seconds=float(life.seconds) if life is not None else None,
            notes=notes,
        )
        return ready(sse.JSON.encode(encode.batch(await gateway.batches.create(wanted, caller(request, "openai")))))

    async def list_batches(self, request: GatewayRequest, gateway: InjectedGateway) -> ASGIResponse:
        """List batches, page by page."""
        query = self._reader.query(request, wire.BatchesQuery)
        found = await gateway.batches.page(request.user, after=query.after, limit=query.limit + 1, protocol=PROTOCOL)
        return ready(sse.JSON.encode(encode.batches(found, query.limit)))

    async def retrieve_batch(
        self, request: GatewayRequest, gateway: InjectedGateway, batch_id: FromPath[str]
    ) -> ASGIResponse:
        """Describe a batch."""
        found = await gateway.batches.get(batch_id, request.user, protocol=PROTOCOL)
        return ready(sse.JSON.encode(encode.batch(found)))

    async def cancel_batch(
        self, request: GatewayRequest, gateway: InjectedGateway, batch_id: FromPath[str]
    ) -> ASGIResponse:
        """Begin to cancel a batch; the lines under way are given up."""
        found = await gateway.batches.cancel(batch_id, request.user, protocol=PROTOCOL)
        return ready(sse.JSON.encode(encode.batch(found)))


def _check_option(text: str, param: str, options: Sequence[str]) -> None:
    if text not in options:
        words = " or ".join(f"'{option}'" for option in options)
        raise InvalidValue(f"Invalid value for '{param}': expected {words}.", param=param)


__all__ = ("BatchRoutes",)

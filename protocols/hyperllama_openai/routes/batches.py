"""Batches: many requests in a file, answered within a day, while the models are idle."""

from __future__ import annotations

from collections.abc import Sequence

from litestar import get, post
from litestar.params import FromPath
from litestar.response.base import ASGIResponse
from litestar.types import ControllerRouterHandler

from hyperllama.spi import NewBatch
from hyperllama.web import GatewayRequest, InjectedGateway, caller
from hyperllama_openai.batch_lines import ENDPOINTS
from hyperllama_openai.body import query, read
from hyperllama_openai.encode import batches as encode
from hyperllama_openai.encode import sse
from hyperllama_openai.errors import InvalidValue
from hyperllama_openai.reply import ready
from hyperllama_openai.settings import Settings
from hyperllama_openai.wire import files as wire

WINDOWS = {"24h": 86_400.0}
PAIRS, NAME, VALUE = 16, 64, 512  # of metadata


def routes(settings: Settings) -> Sequence[ControllerRouterHandler]:
    @post(
        ["/v1/batches", "/batches"],
        status_code=200,
        opt={"permission": "infer", "accepts": wire.BatchRequest, "answers": wire.Batch},
    )
    async def create_batch(request: GatewayRequest, gateway: InjectedGateway) -> ASGIResponse:
        asked = await read(request, wire.BatchRequest, strict=settings.strict)
        _chosen(asked.endpoint, "endpoint", ENDPOINTS)
        _chosen(asked.completion_window, "completion_window", tuple(WINDOWS))
        notes = asked.metadata or {}
        if len(notes) > PAIRS or any(len(name) > NAME or len(value) > VALUE for name, value in notes.items()):
            text = f"at most {PAIRS} pairs, keys of {NAME} and values of {VALUE} characters"
            raise InvalidValue(f"Invalid value for 'metadata': {text}.", param="metadata")
        life = asked.output_expires_after
        wanted = NewBatch(
            protocol="openai",
            endpoint=asked.endpoint,
            input_file=asked.input_file_id,
            seconds=WINDOWS[asked.completion_window],
            output_seconds=float(life.seconds) if life is not None else None,
            notes=notes,
        )
        return ready(sse.JSON.encode(encode.batch(await gateway.batches.create(wanted, caller(request, "openai")))))

    @get(
        ["/v1/batches", "/batches"],
        opt={"permission": "infer", "query": wire.BatchesQuery, "answers": wire.BatchList},
    )
    async def list_batches(request: GatewayRequest, gateway: InjectedGateway) -> ASGIResponse:
        asked = query(request, wire.BatchesQuery)
        found = await gateway.batches.page(request.user, after=asked.after, limit=asked.limit + 1)
        return ready(sse.JSON.encode(encode.batches(found, asked.limit)))

    @get(
        ["/v1/batches/{batch_id:str}", "/batches/{batch_id:str}"],
        opt={"permission": "infer", "answers": wire.Batch},
    )
    async def retrieve_batch(
        request: GatewayRequest, gateway: InjectedGateway, batch_id: FromPath[str]
    ) -> ASGIResponse:
        return ready(sse.JSON.encode(encode.batch(await gateway.batches.get(batch_id, request.user))))

    @post(
        ["/v1/batches/{batch_id:str}/cancel", "/batches/{batch_id:str}/cancel"],
        status_code=200,
        opt={"permission": "infer", "answers": wire.Batch},
    )
    async def cancel_batch(request: GatewayRequest, gateway: InjectedGateway, batch_id: FromPath[str]) -> ASGIResponse:
        return ready(sse.JSON.encode(encode.batch(await gateway.batches.cancel(batch_id, request.user))))

    return (create_batch, list_batches, retrieve_batch, cancel_batch)


def _chosen(text: str, param: str, options: Sequence[str]) -> None:
    if text not in options:
        words = " or ".join(f"'{option}'" for option in options)
        raise InvalidValue(f"Invalid value for '{param}': expected {words}.", param=param)


__all__ = ("routes",)

"""Message batches: many messages made while the models are idle, over the batches that every dialect shares."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncGenerator, Sequence

from litestar import delete, get, post
from litestar.params import FromPath
from litestar.response.base import ASGIResponse
from litestar.types import ControllerRouterHandler

from hyperllama.config import Batches
from hyperllama.errors import InvalidRequest, NotFound
from hyperllama.spi import ENDED, BatchEnded, BatchOpen, Gateway, KeptFile, NewBatch, UnknownFile
from hyperllama.web import BodyReader, GatewayRequest, InjectedGateway, PieceResponse, Resource, caller, route
from hyperllama_anthropic import batch_encode as encode
from hyperllama_anthropic import batch_lines
from hyperllama_anthropic import batch_wire as wire
from hyperllama_anthropic.reply import ready
from hyperllama_anthropic.routes.pages import check_page
from hyperllama_anthropic.settings import Settings

PROTOCOL = "anthropic"  # batches of other dialects are not found here
SECONDS = 86_400.0
RESULTS = "application/x-jsonl"


class BatchRoutes(Resource):
    """The caller's message batches."""

    def __init__(self, settings: Settings, reader: BodyReader, bounds: Batches) -> None:
        """Take ``bounds``, which is ``[batches]``."""
        self._settings = settings
        self._reader = reader
        self._bounds = bounds

    @property
    def handlers(self) -> Sequence[ControllerRouterHandler]:
        """The route handlers, to be mounted by the protocol."""
        one = "/v1/messages/batches/{batch_id:str}"
        made = route(permission="infer", encodings=("zstd",), accepts=wire.BatchRequest, answers=wire.MessageBatch)
        listed = route(permission="infer", query=wire.PageQuery, answers=wire.BatchPage)
        found = route(permission="infer", answers=wire.MessageBatch)
        deleted = route(permission="infer", answers=wire.DeletedBatch)
        return (
            post("/v1/messages/batches", status_code=200, opt=made)(self.create_batch),
            get("/v1/messages/batches", opt=listed)(self.list_batches),
            get(one, opt=found)(self.retrieve_batch),
            delete(one, status_code=200, opt=deleted)(self.delete_batch),
            post(f"{one}/cancel", status_code=200, opt=found)(self.cancel_batch),
            get(f"{one}/results", opt=route(permission="infer", streams=RESULTS))(self.results),
        )

    async def create_batch(self, request: GatewayRequest, gateway: InjectedGateway) -> ASGIResponse:
        """Begin a batch of messages. The requests in it are checked when they run."""
        body = await self._reader.read(request, wire.BatchRequest, strict=self._settings.strict)
        lines = await body.run(
            batch_lines.lines,
            body.value,
            max_lines=self._bounds.max_lines,
            max_line_bytes=self._bounds.max_line_bytes,
        )
        who = caller(request, PROTOCOL)
        async with gateway.files.receiving(who) as sink:
            await sink.write(lines)
            file = await sink.keep(filename="message_batch.jsonl", purpose="batch", seconds=None)
        wanted = NewBatch(
            protocol=PROTOCOL,
            endpoint=batch_lines.ENDPOINT,
            input_file=file.id,
            seconds=SECONDS,
            id_prefix="msgbatch_",
            total=len(body.value.requests),
        )
        try:
            batch = await gateway.batches.create(wanted, who)
        except BaseException:
            await gateway.files.delete(file.id, request.user)
            raise
        return ready(encode.batch(batch, _base_url(request)))

    async def list_batches(self, request: GatewayRequest, gateway: InjectedGateway) -> ASGIResponse:
        """List batches, newest first, page by page."""
        query = check_page(self._reader.query(request, wire.PageQuery))
        found = await gateway.batches.page(
            request.user, after=query.after_id, before=query.before_id, limit=query.limit + 1, protocol=PROTOCOL
        )
        back = query.before_id is not None
        return ready(encode.page(found, query.limit, _base_url(request), back=back))

    async def retrieve_batch(
        self, request: GatewayRequest, gateway: InjectedGateway, batch_id: FromPath[str]
    ) -> ASGIResponse:
        """Describe a batch."""
        batch = await gateway.batches.get(batch_id, request.user, protocol=PROTOCOL)
        return ready(encode.batch(batch, _base_url(request)))

    async def cancel_batch(
        self, request: GatewayRequest, gateway: InjectedGateway, batch_id: FromPath[str]
    ) -> ASGIResponse:
        """Begin to cancel a batch. One whose last requests are done is answered as it is."""
        try:
            batch = await gateway.batches.cancel(batch_id, request.user, protocol=PROTOCOL)
        except BatchEnded as error:
            if error.batch_status in ENDED:
                raise InvalidRequest(f"Message Batch {batch_id} has ended and cannot be canceled.") from error
            batch = await gateway.batches.get(batch_id, request.user, protocol=PROTOCOL)
        return ready(encode.batch(batch, _base_url(request)))

    async def delete_batch(
        self, request: GatewayRequest, gateway: InjectedGateway, batch_id: FromPath[str]
    ) -> ASGIResponse:
        """Delete a batch that has ended, with its requests and results."""
        try:
            batch = await gateway.batches.delete(batch_id, request.user, protocol=PROTOCOL)
        except BatchOpen as error:
            text = f"Message Batch {batch_id} is still being processed; cancel it and delete it once it has ended."
            raise InvalidRequest(text) from error
        for file in (batch.input_file, batch.output_file, batch.error_file):
            if file is not None:
                with contextlib.suppress(NotFound, InvalidRequest):  # deleted before, or in use by another batch
                    await gateway.files.delete(file, request.user)
        return ready(wire.DeletedBatch(id=batch.id))

    async def results(self, request: GatewayRequest, gateway: InjectedGateway, batch_id: FromPath[str]) -> ASGIResponse:
        """Stream the results of a batch that has ended, a line each."""
        batch = await gateway.batches.get(batch_id, request.user, protocol=PROTOCOL)
        if batch.status not in ENDED:
            raise InvalidRequest(f"Message Batch {batch_id} has no results yet; it has not ended.")
        if batch.status == "failed":
            source = await gateway.files.get(batch.input_file, request.user)
            error = batch.errors[0] if batch.errors else None
            return PieceResponse(batch_lines.failed(gateway.files.read(source), error), RESULTS)
        names = [name for name in (batch.output_file, batch.error_file) if name is not None]
        try:
            files = [await gateway.files.get(name, request.user) for name in names]
        except UnknownFile as error:
            raise NotFound(f"The results of Message Batch {batch_id} are no longer kept.") from error
        return PieceResponse(_joined(gateway, files), RESULTS)


async def _joined(gateway: Gateway, files: Sequence[KeptFile]) -> AsyncGenerator[bytes, None]:
    for file in files:
        async with contextlib.aclosing(gateway.files.read(file)) as pieces:
            async for piece in pieces:
                yield piece


def _base_url(request: GatewayRequest) -> str:
    """Return the URL that the client called, to the end of the host; https where a proxy in front speaks that."""
    url = request.base_url
    secure = request.headers.get("x-forwarded-proto", "").strip().lower() == "https"
    return f"{'https' if secure else url.scheme}://{url.netloc}"


__all__ = ("BatchRoutes",)

"""Files: uploaded for batches, made by them, listed, read, deleted."""

from __future__ import annotations

from collections.abc import Sequence

from litestar import delete, get, post
from litestar.params import FromPath
from litestar.response.base import ASGIResponse
from litestar.types import ControllerRouterHandler

from hyperllama.errors import InvalidRequest
from hyperllama.web import (
    BodyReader,
    GatewayRequest,
    InjectedGateway,
    PieceResponse,
    Resource,
    caller,
    read_form,
    route,
)
from hyperllama_openai.encode import batches as encode
from hyperllama_openai.encode import sse
from hyperllama_openai.errors import MissingParameter
from hyperllama_openai.reply import ready
from hyperllama_openai.wire import files as wire

BYTES = "application/octet-stream"


class FileRoutes(Resource):
    """The caller's files."""

    def __init__(self, reader: BodyReader) -> None:
        self._reader = reader

    @property
    def handlers(self) -> Sequence[ControllerRouterHandler]:
        """The route handlers, to be mounted by the protocol."""
        one = route(permission="infer", answers=wire.File)
        return (
            post(
                "/files",
                status_code=200,
                request_max_body_size=None,  # counted as it comes, against [batches] max_file_bytes
                opt=route(permission="infer", form=wire.Upload, answers=wire.File),
            )(self.upload),
            get("/files", opt=route(permission="infer", query=wire.FilesQuery, answers=wire.FileList))(self.list_files),
            get("/files/{file_id:str}", opt=one)(self.retrieve_file),
            get("/files/{file_id:str}/content", opt=route(permission="infer", streams=BYTES))(self.content),
            delete("/files/{file_id:str}", status_code=200, opt=route(permission="infer", answers=wire.FileDeleted))(
                self.remove_file
            ),
        )

    async def upload(self, request: GatewayRequest, gateway: InjectedGateway) -> ASGIResponse:
        """Store a file."""
        async with gateway.files.receiving(caller(request, "openai")) as sink:
            form = await read_form(request, "file", sink)
            named = {} if form.filename is None else {"file": form.filename}
            fields = self._reader.fields({**form.fields, **named}, wire.Upload)
            if fields.seconds is not None and fields.anchor is None:
                param = "expires_after[anchor]"
                raise MissingParameter(f"Missing required parameter: '{param}'.", param=param)
            seconds = None if fields.seconds is None else float(fields.seconds)
            kept = await sink.keep(filename=_plain(fields.file), purpose=fields.purpose, seconds=seconds)
        return ready(sse.JSON.encode(encode.file(kept)))

    async def list_files(self, request: GatewayRequest, gateway: InjectedGateway) -> ASGIResponse:
        """List files, page by page."""
        query = self._reader.query(request, wire.FilesQuery)
        found = await gateway.files.page(
            request.user,
            purpose=query.purpose,
            after=query.after,
            limit=query.limit + 1,
            newest_first=query.order == "desc",
        )
        return ready(sse.JSON.encode(encode.files(found, query.limit)))

    async def retrieve_file(
        self, request: GatewayRequest, gateway: InjectedGateway, file_id: FromPath[str]
    ) -> ASGIResponse:
        """Describe a file."""
        return ready(sse.JSON.encode(encode.file(await gateway.files.get(file_id, request.user))))

    async def content(self, request: GatewayRequest, gateway: InjectedGateway, file_id: FromPath[str]) -> ASGIResponse:
        """Stream the bytes of a file."""
        file = await gateway.files.get(file_id, request.user)
        return PieceResponse(gateway.files.read(file), BYTES)

    async def remove_file(
        self, request: GatewayRequest, gateway: InjectedGateway, file_id: FromPath[str]
    ) -> ASGIResponse:
        """Delete a file."""
        await gateway.files.delete(file_id, request.user)
        return ready(sse.JSON.encode(wire.FileDeleted(id=file_id)))


def _plain(filename: str) -> str:
    """Return the last part of a path, without characters that a terminal or a header could not bear."""
    name = filename.replace("\\", "/").rsplit("/", 1)[-1]
    name = "".join(character if character.isprintable() else "_" for character in name)[:255]
    if not name:
        raise InvalidRequest("The file has no name.", param="file")
    return name


__all__ = ("FileRoutes",)

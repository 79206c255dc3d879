"""Files: uploaded for batches, made by them, listed, read, deleted."""

from __future__ import annotations

from collections.abc import Sequence

from litestar import delete, get, post
from litestar.params import FromPath
from litestar.response.base import ASGIResponse
from litestar.types import ControllerRouterHandler

from hyperllama.errors import InvalidRequest
from hyperllama.web import GatewayRequest, InjectedGateway, PieceResponse, caller, read_form
from hyperllama_openai.body import fields, query
from hyperllama_openai.encode import batches as encode
from hyperllama_openai.encode import sse
from hyperllama_openai.errors import MissingParameter
from hyperllama_openai.reply import ready
from hyperllama_openai.wire import files as wire

BYTES = "application/octet-stream"


def routes() -> Sequence[ControllerRouterHandler]:
    @post(
        ["/v1/files", "/files"],
        status_code=200,
        request_max_body_size=None,  # counted as it comes, against [batches] max_file_bytes
        opt={"permission": "infer", "form": wire.Upload, "answers": wire.File},
    )
    async def upload(request: GatewayRequest, gateway: InjectedGateway) -> ASGIResponse:
        async with gateway.files.receiving(caller(request, "openai")) as sink:
            form = await read_form(request, "file", sink)
            named = {} if form.filename is None else {"file": form.filename}
            asked = fields({**form.fields, **named}, wire.Upload)
            if asked.seconds is not None and asked.anchor is None:
                param = "expires_after[anchor]"
                raise MissingParameter(f"Missing required parameter: '{param}'.", param=param)
            seconds = None if asked.seconds is None else float(asked.seconds)
            kept = await sink.keep(filename=_plain(asked.file), purpose=asked.purpose, seconds=seconds)
        return ready(sse.JSON.encode(encode.file(kept)))

    @get(["/v1/files", "/files"], opt={"permission": "infer", "query": wire.FilesQuery, "answers": wire.FileList})
    async def list_files(request: GatewayRequest, gateway: InjectedGateway) -> ASGIResponse:
        asked = query(request, wire.FilesQuery)
        found = await gateway.files.page(
            request.user,
            purpose=asked.purpose,
            after=asked.after,
            limit=asked.limit + 1,
            newest_first=asked.order == "desc",
        )
        return ready(sse.JSON.encode(encode.files(found, asked.limit)))

    @get(["/v1/files/{file_id:str}", "/files/{file_id:str}"], opt={"permission": "infer", "answers": wire.File})
    async def retrieve_file(request: GatewayRequest, gateway: InjectedGateway, file_id: FromPath[str]) -> ASGIResponse:
        return ready(sse.JSON.encode(encode.file(await gateway.files.get(file_id, request.user))))

    @get(
        ["/v1/files/{file_id:str}/content", "/files/{file_id:str}/content"],
        opt={"permission": "infer", "streams": BYTES},
    )
    async def content(request: GatewayRequest, gateway: InjectedGateway, file_id: FromPath[str]) -> ASGIResponse:
        file = await gateway.files.get(file_id, request.user)
        return PieceResponse(gateway.files.read(file), BYTES)

    @delete(
        ["/v1/files/{file_id:str}", "/files/{file_id:str}"],
        status_code=200,
        opt={"permission": "infer", "answers": wire.FileDeleted},
    )
    async def remove_file(request: GatewayRequest, gateway: InjectedGateway, file_id: FromPath[str]) -> ASGIResponse:
        await gateway.files.delete(file_id, request.user)
        return ready(sse.JSON.encode(wire.FileDeleted(id=file_id)))

    return (upload, list_files, retrieve_file, content, remove_file)


def _plain(filename: str) -> str:
    """The last part of a path, without what a terminal or a header could not bear."""
    name = filename.replace("\\", "/").rsplit("/", 1)[-1]
    name = "".join(character if character.isprintable() else "_" for character in name)[:255]
    if not name:
        raise InvalidRequest("The file has no name.", param="file")
    return name


__all__ = ("routes",)

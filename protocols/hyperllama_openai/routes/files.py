"""Files: uploaded for batches, made by them, listed, read, deleted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from litestar import delete, get, post
from litestar.params import FromPath
from litestar.response.base import ASGIResponse
from litestar.types import ControllerRouterHandler

from hyperllama.errors import InvalidRequest
from hyperllama.web.forms import read_form
from hyperllama.web.streaming import GatewayRequest, InjectedGateway, PieceResponse, caller
from hyperllama_openai.encode import batches as encode
from hyperllama_openai.encode import sse
from hyperllama_openai.errors import InvalidValue, MissingParameter
from hyperllama_openai.pages import chosen, number
from hyperllama_openai.reply import ready
from hyperllama_openai.wire import files as wire

PURPOSES = ("batch", "batch_output")
SHORTEST, LONGEST = 3600, 2_592_000  # seconds that a file may be asked to be kept
PAGE = 10_000


def routes() -> Sequence[ControllerRouterHandler]:
    @post(
        ["/v1/files", "/files"],
        status_code=200,
        request_max_body_size=None,  # counted as it comes, against [batches] max_file_bytes
        opt={"permission": "infer", "answers": wire.File},
    )
    async def upload(request: GatewayRequest, gateway: InjectedGateway) -> ASGIResponse:
        async with gateway.files.receiving(caller(request, "openai")) as sink:
            form = await read_form(request, "file", sink)
            if form.filename is None:
                raise MissingParameter("Missing required parameter: 'file'.", param="file")
            purpose = form.fields.get("purpose")
            if purpose is None:
                raise MissingParameter("Missing required parameter: 'purpose'.", param="purpose")
            if purpose != "batch":
                raise InvalidValue(
                    "Invalid value for 'purpose': files are kept here for 'batch' only.", param="purpose"
                )
            seconds = _seconds(form.fields)
            kept = await sink.keep(filename=_plain(form.filename), purpose=purpose, seconds=seconds)
        return ready(sse.JSON.encode(encode.file(kept)))

    @get(["/v1/files", "/files"], opt={"permission": "infer", "answers": wire.FileList})
    async def list_files(request: GatewayRequest, gateway: InjectedGateway) -> ASGIResponse:
        query = request.query_params
        limit = number(query.get("limit"), "limit", PAGE, most=PAGE)
        order = chosen(query.get("order", "desc"), "order", ("asc", "desc"))
        purpose = query.get("purpose")
        found = await gateway.files.page(
            request.user, purpose=purpose, after=query.get("after"), limit=limit + 1, newest_first=order == "desc"
        )
        return ready(sse.JSON.encode(encode.files(found, limit)))

    @get(["/v1/files/{file_id:str}", "/files/{file_id:str}"], opt={"permission": "infer", "answers": wire.File})
    async def retrieve_file(request: GatewayRequest, gateway: InjectedGateway, file_id: FromPath[str]) -> ASGIResponse:
        return ready(sse.JSON.encode(encode.file(await gateway.files.get(file_id, request.user))))

    @get(["/v1/files/{file_id:str}/content", "/files/{file_id:str}/content"], opt={"permission": "infer"})
    async def content(request: GatewayRequest, gateway: InjectedGateway, file_id: FromPath[str]) -> ASGIResponse:
        file = await gateway.files.get(file_id, request.user)
        return PieceResponse(gateway.files.read(file), "application/octet-stream")

    @delete(
        ["/v1/files/{file_id:str}", "/files/{file_id:str}"],
        status_code=200,
        opt={"permission": "infer", "answers": wire.FileDeleted},
    )
    async def remove_file(request: GatewayRequest, gateway: InjectedGateway, file_id: FromPath[str]) -> ASGIResponse:
        await gateway.files.delete(file_id, request.user)
        return ready(sse.JSON.encode(wire.FileDeleted(id=file_id)))

    return (upload, list_files, retrieve_file, content, remove_file)


def _seconds(fields: Mapping[str, str]) -> float | None:
    text = fields.get("expires_after[seconds]")
    if text is None:
        return None
    chosen(fields.get("expires_after[anchor]", ""), "expires_after[anchor]", ("created_at",))
    return float(number(text, "expires_after[seconds]", 0, least=SHORTEST, most=LONGEST))


def _plain(filename: str) -> str:
    """The last part of a path, without what a terminal or a header could not bear."""
    name = filename.replace("\\", "/").rsplit("/", 1)[-1]
    name = "".join(character if character.isprintable() else "_" for character in name)[:255]
    if not name:
        raise InvalidRequest("The file has no name.", param="file")
    return name


__all__ = ("LONGEST", "SHORTEST", "routes")

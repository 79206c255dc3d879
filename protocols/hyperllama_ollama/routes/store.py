"""Create, copy, delete, pull, push, blobs: names and digests are checked here, the work is the store's."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import aclosing
from typing import TypeAlias

import msgspec
from litestar import delete, post, route
from litestar.params import FromPath
from litestar.response.base import ASGIResponse

from hyperllama.errors import GatewayError, InvalidRequest, ModelNotFound, UnsupportedFeature
from hyperllama.spi import Gateway, ModelStore, Progress
from hyperllama.web import GatewayRequest, InjectedGateway, PieceResponse, WholeResponse, caller
from hyperllama.web import route as route_
from hyperllama_ollama import described, errors, names, resolve
from hyperllama_ollama.decode import bodies, recipes
from hyperllama_ollama.encode import progress, replies
from hyperllama_ollama.encode.lines import NDJSON
from hyperllama_ollama.encode.text import quote
from hyperllama_ollama.errors import NotImplementedHere
from hyperllama_ollama.routes.answers import InjectedBodies, OrError, before, empty


def _write(asked: type[msgspec.Struct] | None = None) -> dict[str, object]:
    return route_(permission="models:write", accepts=asked)


def _progressing(asked: type[msgspec.Struct]) -> dict[str, object]:
    return route_(permission="models:write", accepts=asked, answers=replies.Progress, streams=NDJSON)


Steps: TypeAlias = Callable[[], AsyncGenerator[Progress, None]]


@post("/api/create", status_code=200, opt=_progressing(described.CREATE), before_request=before)
async def create(request: GatewayRequest, gateway: InjectedGateway, decoder: InjectedBodies) -> ASGIResponse:
    who = caller(request, "ollama")
    asked = await decoder.read(bodies.create, await request.body())
    name = _new_name(asked.target)
    for files in (asked.files, asked.adapters, asked.draft_files):
        _check_files(files)
    if asked.draft_quantize and not asked.draft_files:
        raise InvalidRequest("--draft-quantize requires a DRAFT model", param="draft_quantize")
    store = _store(gateway)

    async def steps() -> AsyncGenerator[Progress, None]:
        recipe = await asyncio.to_thread(recipes.recipe, asked)
        async with aclosing(store.create(recipe, name, who)) as found:
            async for step in found:
                yield step

    return _progress(steps, stream=asked.stream is not False, failed=400)


@post("/api/pull", status_code=200, opt=_progressing(described.TRANSFER), before_request=before)
async def pull(request: GatewayRequest, gateway: InjectedGateway, decoder: InjectedBodies) -> ASGIResponse:
    who = caller(request, "ollama")
    asked = await decoder.read(bodies.pull, await request.body())
    name = names.stored(resolve.parse(asked.target, resolve.PULL))
    if name is None:
        raise InvalidRequest("invalid model name", param="model")
    store = _store(gateway)

    async def steps() -> AsyncGenerator[Progress, None]:
        async with aclosing(store.pull(name.short, who, insecure=asked.insecure)) as found:
            async for step in found:
                yield step
                if name.scheme == "http" and not asked.insecure:
                    raise InvalidRequest("insecure protocol http", param="model")

    return _progress(steps, stream=asked.stream is not False, failed=500)


@post("/api/push", status_code=200, opt=_progressing(described.TRANSFER), before_request=before)
async def push(request: GatewayRequest, gateway: InjectedGateway, decoder: InjectedBodies) -> ASGIResponse:
    who = caller(request, "ollama")
    asked = await decoder.read(bodies.push, await request.body())
    if not asked.target:
        raise InvalidRequest("model is required", param="model")
    name = names.parse(asked.target)
    short = asked.target if name is None else name.short  # the store refuses what is no name, when it has begun
    store = _store(gateway)

    async def steps() -> AsyncGenerator[Progress, None]:
        async with aclosing(store.push(short, who, insecure=asked.insecure)) as found:
            async for step in found:
                yield step

    return _progress(steps, stream=asked.stream is not False, failed=500)


@post("/api/copy", status_code=200, opt=_write(described.COPY), before_request=before)
async def copy(request: GatewayRequest, gateway: InjectedGateway, decoder: InjectedBodies) -> ASGIResponse:
    who = caller(request, "ollama")
    asked = await decoder.read(bodies.copy, await request.body())
    source, destination = names.parse(asked.source), names.parse(asked.destination)
    if source is None:
        raise InvalidRequest(f"source {quote(asked.source)} is invalid", param="source")
    if destination is None:
        raise InvalidRequest(f"destination {quote(asked.destination)} is invalid", param="destination")
    try:
        await _store(gateway).copy(source.short, destination.short, who)
    except ModelNotFound as error:
        raise ModelNotFound(f"model {quote(asked.source)} not found", param="source") from error
    return empty()


@delete(
    "/api/delete",
    status_code=200,
    opt=_write(described.DELETE),
    before_request=before,
)
async def delete_(request: GatewayRequest, gateway: InjectedGateway, decoder: InjectedBodies) -> ASGIResponse:
    who = caller(request, "ollama")
    asked = await decoder.read(bodies.delete, await request.body())
    name = names.stored(resolve.parse(asked.target, resolve.DELETE))
    if name is None:
        raise InvalidRequest(resolve.DELETE.malformed(asked.target), param="model")
    try:
        await _store(gateway).delete(name.short, who)
    except ModelNotFound as error:
        raise ModelNotFound(resolve.DELETE.missing(asked.target), param="model") from error
    return empty()


@route(
    "/api/blobs/{digest:str}",
    http_method="HEAD",
    status_code=200,
    opt=_write(),
    before_request=before,
)
async def head_blob(request: GatewayRequest, gateway: InjectedGateway, digest: FromPath[str]) -> ASGIResponse:
    found = names.digest(digest)
    if found is None:
        return empty(400)
    return empty(200 if await _store(gateway).has_blob(found, caller(request, "ollama")) else 404)


@post(
    "/api/blobs/{digest:str}",
    status_code=201,
    opt=route_(permission="models:write", statuses=(200, 201)),
    before_request=before,
    request_max_body_size=None,
)
async def post_blob(request: GatewayRequest, gateway: InjectedGateway, digest: FromPath[str]) -> ASGIResponse:
    found = names.digest(digest)
    if found is None:
        raise InvalidRequest("invalid digest format", param="digest")
    new = await _store(gateway).put_blob(found, request.stream(), caller(request, "ollama"))
    return empty(201 if new else 200)


def _new_name(text: str) -> str:
    name = names.parse(text)  # spaces around it are part of it, as nowhere else but in push
    if name is None:
        raise InvalidRequest("invalid model name", param="model")
    return name.short


def _check_files(files: Mapping[str, str]) -> None:
    for path, digest in files.items():
        parts = path.replace("\\", "/").split("/")
        if not path or path.startswith(("/", "\\")) or ".." in parts or "\0" in path or ":" in parts[0]:
            raise InvalidRequest("file path must be relative", param="files")
        if names.digest(digest) is None:
            raise InvalidRequest("invalid digest format", param="files")


def _progress(steps: Steps, *, stream: bool, failed: int) -> ASGIResponse:
    """Return lines, or the last one alone. ``failed``: the status of a refusal that would have been a line."""
    if stream:
        return OrError(PieceResponse(_lines(steps), NDJSON))

    async def work() -> bytes:
        last = b""
        try:
            async for step in steps():
                last = progress.line(step)
        except ModelNotFound as error:
            raise errors.Failure(errors.text(error)) from error
        except InvalidRequest as error:
            raise (errors.Failure if failed == 500 else InvalidRequest)(errors.text(error)) from error
        return last

    return OrError(WholeResponse(work, errors.BARE_JSON))


async def _lines(steps: Steps) -> AsyncGenerator[bytes, None]:
    begun = False
    source = steps()
    try:
        async for step in source:
            yield progress.line(step) + b"\n"
            begun = True
    except GatewayError as error:
        if not begun:
            raise
        yield errors.line(error)
    finally:
        await source.aclose()


def _store(gateway: Gateway) -> ModelStore:
    """Return the gateway's model store. Raise NotImplementedHere where it has none."""
    try:
        return gateway.model_store
    except UnsupportedFeature as error:
        raise NotImplementedHere("this server has no model store: models are named in its configuration") from error


__all__ = ("copy", "create", "delete_", "head_blob", "post_blob", "pull", "push")

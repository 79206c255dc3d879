"""Routes of embeddings: ``/api/embed`` and the old ``/api/embeddings``."""

from __future__ import annotations

from litestar import post
from litestar.response.base import ASGIResponse

from hyperllama.errors import ContextTooLong, InvalidRequest
from hyperllama.web import GatewayRequest, InjectedGateway, WholeResponse, caller, route
from hyperllama_ollama import described, options, resolve
from hyperllama_ollama.decode import bodies, requests
from hyperllama_ollama.encode import replies, vectors
from hyperllama_ollama.errors import JSON, Failure
from hyperllama_ollama.routes.answers import InjectedBodies, before

TOO_LONG = "the input length exceeds the context length"


@post(
    "/api/embed",
    status_code=200,
    opt=route(permission="infer", accepts=described.EMBED, answers=replies.Embedded),
    before_request=before,
)
async def embed(request: GatewayRequest, gateway: InjectedGateway, decoder: InjectedBodies) -> ASGIResponse:
    """Return a vector for each text; without one, load the model."""
    who = caller(request, "ollama")
    asked = await decoder.read(bodies.embed, await request.body())
    inputs = asked.input
    if inputs is None:
        raise InvalidRequest("invalid input type", param="input")
    info = resolve.resolve(gateway, asked.model, who.principal, resolve.EMBED)
    options.parse(asked.options)

    async def work() -> bytes:
        if not inputs:
            await gateway.load(info.name, who, keep_alive=asked.keep_alive)
            return vectors.loaded(asked.model)
        try:
            found = await gateway.embed(requests.embed(asked, inputs, info), who)
        except ContextTooLong as error:
            raise ContextTooLong(TOO_LONG, param="input") from error
        return await vectors.embedded(asked.model, found)

    return WholeResponse(work, JSON)


@post(
    "/api/embeddings",
    status_code=200,
    opt=route(permission="infer", accepts=described.EMBEDDING, answers=replies.Embedding),
    before_request=before,
)
async def embeddings(request: GatewayRequest, gateway: InjectedGateway, decoder: InjectedBodies) -> ASGIResponse:
    """Return the vector of one text; without one, load the model."""
    who = caller(request, "ollama")
    asked = await decoder.read(bodies.embeddings, await request.body())
    info = resolve.resolve(gateway, asked.model, who.principal, resolve.EMBEDDINGS)
    options.parse(asked.options)

    async def work() -> bytes:
        if not asked.prompt:
            await gateway.load(info.name, who, keep_alive=asked.keep_alive)
            return b'{"embedding":[]}'
        try:
            found = await gateway.embed(requests.embedding(asked, info), who)
            return vectors.embedding(found.vectors[0])
        except ContextTooLong as error:
            raise Failure(TOO_LONG, param="prompt") from error
        except InvalidRequest as error:  # whatever the model refuses is a failure of the server on this route
            raise Failure(error.message, param=error.param) from error

    return WholeResponse(work, JSON)


__all__ = ("embed", "embeddings")

"""Reading what there is: the server, its models, those in memory, one model's card."""

from __future__ import annotations

from litestar import get, post, route
from litestar.handlers import HTTPRouteHandler
from litestar.response.base import ASGIResponse

from hyperllama.web import GatewayRequest, InjectedGateway, caller, read_query
from hyperllama_ollama import described, resolve, wire
from hyperllama_ollama.decode import bodies
from hyperllama_ollama.encode import listing, replies, showing
from hyperllama_ollama.encode.text import dumps
from hyperllama_ollama.routes.answers import before, json, read

_READ = {"permission": "models:read"}
_PUBLIC = {"permission": "public"}
_COPILOT = "GitHubCopilotChat/"


@route(
    "/", http_method=["GET", "HEAD"], status_code=200, opt={**_PUBLIC, "streams": "text/plain"}, sync_to_thread=False
)
def root() -> ASGIResponse:
    return json(b"Ollama is running", media_type="text/plain; charset=utf-8")


@route(
    "/api/tags",
    http_method=["GET", "HEAD"],
    status_code=200,
    opt={**_READ, "answers": replies.Tags},
    before_request=before,
)
async def tags(request: GatewayRequest, gateway: InjectedGateway) -> ASGIResponse:
    return json(listing.tags(gateway.models(caller(request, "ollama").principal)))


@get("/api/ps", opt={**_READ, "query": wire.RunningQuery, "answers": replies.Running}, before_request=before)
async def ps(request: GatewayRequest, gateway: InjectedGateway) -> ASGIResponse:
    """With ``?progress=1``: the phase and the seconds of a load under way, too."""
    running = gateway.running(caller(request, "ollama").principal)
    return json(listing.ps(running, progress=read_query(request, wire.RunningQuery).progress is not None))


@post(
    "/api/show",
    status_code=200,
    opt={**_READ, "accepts": described.SHOW, "answers": replies.Shown},
    before_request=before,
)
async def show(request: GatewayRequest, gateway: InjectedGateway) -> ASGIResponse:
    asked = await read(bodies.show, await request.body())
    info = resolve.resolve(gateway, asked.target, caller(request, "ollama").principal, resolve.SHOW)
    copilot = request.headers.get("user-agent", "").startswith(_COPILOT)
    return json(showing.show(info, asked, copilot=copilot))


def version_route(version: str) -> HTTPRouteHandler:
    reply = dumps(replies.Version(version))

    @route(
        "/api/version",
        http_method=["GET", "HEAD"],
        status_code=200,
        opt={**_PUBLIC, "answers": replies.Version},
        before_request=before,
    )
    async def version_() -> ASGIResponse:
        return json(reply)

    return version_


__all__ = ("ps", "root", "show", "tags", "version_route")

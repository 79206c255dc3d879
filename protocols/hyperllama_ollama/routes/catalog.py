"""Routes that read: the server, its models, the loaded ones, one model's card."""

from __future__ import annotations

from litestar import get, post
from litestar import route as methods
from litestar.handlers import HTTPRouteHandler
from litestar.response.base import ASGIResponse

from hyperllama.web import GatewayRequest, InjectedGateway, caller, read_query, route
from hyperllama_ollama import described, resolve, wire
from hyperllama_ollama.decode import bodies
from hyperllama_ollama.encode import listing, replies, showing
from hyperllama_ollama.encode.text import dumps
from hyperllama_ollama.routes.answers import InjectedBodies, before, json

_COPILOT = "GitHubCopilotChat/"


@methods(
    "/",
    http_method=["GET", "HEAD"],
    status_code=200,
    opt=route(permission="public", streams="text/plain"),
    sync_to_thread=False,
)
def root() -> ASGIResponse:
    """Return the sentence by which clients know the server."""
    return json(b"Ollama is running", media_type="text/plain; charset=utf-8")


@methods(
    "/api/tags",
    http_method=["GET", "HEAD"],
    status_code=200,
    opt=route(permission="models:read", answers=replies.Tags),
    before_request=before,
)
async def tags(request: GatewayRequest, gateway: InjectedGateway) -> ASGIResponse:
    """List all models that the caller may use."""
    return json(listing.tags(gateway.models(caller(request, "ollama").principal)))


@get(
    "/api/ps",
    opt=route(permission="models:read", query=wire.RunningQuery, answers=replies.Running),
    before_request=before,
)
async def ps(request: GatewayRequest, gateway: InjectedGateway) -> ASGIResponse:
    """List loaded and loading models; with ``?progress=1`` the phase and the seconds of a load under way, too."""
    running = gateway.running(caller(request, "ollama").principal)
    return json(listing.ps(running, progress=read_query(request, wire.RunningQuery).progress is not None))


@post(
    "/api/show",
    status_code=200,
    opt=route(permission="models:read", accepts=described.SHOW, answers=replies.Shown),
    before_request=before,
)
async def show(request: GatewayRequest, gateway: InjectedGateway, decoder: InjectedBodies) -> ASGIResponse:
    """Return one model's card."""
    asked = await decoder.read(bodies.show, await request.body())
    info = resolve.resolve(gateway, asked.target, caller(request, "ollama").principal, resolve.SHOW)
    copilot = request.headers.get("user-agent", "").startswith(_COPILOT)
    return json(showing.show(info, asked, copilot=copilot))


def version_route(version: str) -> HTTPRouteHandler:
    """Return the route that answers ``version``."""
    reply = dumps(replies.Version(version))

    @methods(
        "/api/version",
        http_method=["GET", "HEAD"],
        status_code=200,
        opt=route(permission="public", answers=replies.Version),
        before_request=before,
    )
    async def version_() -> ASGIResponse:
        return json(reply)

    return version_


__all__ = ("ps", "root", "show", "tags", "version_route")

"""Routes of an account at ollama.com, answered as by a server without one."""

from __future__ import annotations

from litestar import delete, get, post
from litestar.params import FromPath
from litestar.response.base import ASGIResponse

from hyperllama.web import route
from hyperllama_ollama.errors import NotSignedIn, cloud_disabled
from hyperllama_ollama.routes.answers import before, json

_READ = route(permission="models:read")
_INFER = route(permission="infer")


@get("/api/status", opt=_READ, before_request=before)
async def status() -> ASGIResponse:
    """Return that there is no cloud."""
    return json(b'{"cloud":{"disabled":true,"source":"config"}}')


@post("/api/me", status_code=200, opt=_READ, before_request=before)
async def me() -> ASGIResponse:
    """Refuse: no account is signed in."""
    raise NotSignedIn("unauthorized")


@post("/api/signout", status_code=200, opt=_READ, before_request=before)
async def signout() -> ASGIResponse:
    """Refuse: no account is signed in."""
    raise NotSignedIn("you are not currently signed in")


@delete("/api/user/keys/{key:str}", status_code=200, opt=_READ, before_request=before)
async def delete_key(key: FromPath[str]) -> ASGIResponse:
    """Refuse: no account is signed in."""
    raise NotSignedIn("you are not currently signed in")


@post("/api/experimental/web_search", status_code=200, opt=_INFER, before_request=before)
async def web_search() -> ASGIResponse:
    """Refuse a search, which is ollama.com's."""
    raise cloud_disabled("web search is unavailable")


@post("/api/experimental/web_fetch", status_code=200, opt=_INFER, before_request=before)
async def web_fetch() -> ASGIResponse:
    """Refuse a fetch, which is ollama.com's."""
    raise cloud_disabled("web fetch is unavailable")


@get("/api/experimental/model-recommendations", opt=_READ, before_request=before)
async def recommendations() -> ASGIResponse:
    """Return no recommendations."""
    return json(b'{"recommendations":[]}')


__all__ = ("delete_key", "me", "recommendations", "signout", "status", "web_fetch", "web_search")

"""``/admin/v1/keys``: the ``hyperllama-gateway keys`` commands over HTTP."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

from litestar import Response, delete, get, patch, post
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath

from hyperllama.auth.key_service import Change, Draft, KeyService
from hyperllama.database.api_key import Issued, Key
from hyperllama.web.admin import requests, wire
from hyperllama.web.admin.responses import json
from hyperllama.web.request import GatewayRequest
from hyperllama.web.routing import route

KEYS = "/admin/v1/keys"
KEY = f"{KEYS}/{{name:str}}"


def routes(service: Callable[[], Awaitable[KeyService]]) -> Sequence[HTTPRouteHandler]:
    """Return the routes of keys. Every path takes a key's name or its id."""

    @get(KEYS, opt=route(permission="admin", query=wire.KeysQuery, answers=wire.KeyList))
    async def list_keys(request: GatewayRequest) -> Response[bytes]:
        ended = requests.query(request, wire.KeysQuery).all
        return json(wire.KeyList(list(await (await service()).all(ended=ended))))

    @post(KEYS, opt=route(permission="admin", accepts=Draft, answers=wire.KeyIssued))
    async def create_key(request: GatewayRequest) -> Response[bytes]:
        draft = await requests.body(request, Draft)
        return _issued(await (await service()).create(draft, requests.actor(request)), 201)

    @get(KEY, opt=route(permission="admin", answers=Key))
    async def show_key(name: FromPath[str]) -> Response[bytes]:
        return json(await (await service()).get(name))

    @patch(KEY, opt=route(permission="admin", accepts=Change, answers=Key))
    async def update_key(request: GatewayRequest, name: FromPath[str]) -> Response[bytes]:
        change = await requests.body(request, Change)
        return json(await (await service()).update(name, change, requests.actor(request)))

    @post(
        f"{KEY}/rotate", status_code=200, opt=route(permission="admin", accepts=wire.Rotation, answers=wire.KeyIssued)
    )
    async def rotate_key(request: GatewayRequest, name: FromPath[str]) -> Response[bytes]:
        rotation = await requests.body(request, wire.Rotation, empty=True)
        return _issued(await (await service()).rotate(name, rotation.grace, requests.actor(request)), 200)

    @delete(KEY, status_code=200, opt=route(permission="admin", answers=Key))
    async def revoke_key(request: GatewayRequest, name: FromPath[str]) -> Response[bytes]:
        return json(await (await service()).revoke(name, requests.actor(request)))

    return (list_keys, create_key, show_key, update_key, rotate_key, revoke_key)


def _issued(issued: Issued, status: int) -> Response[bytes]:
    reply = json(wire.KeyIssued(issued.key, issued.secret), status)
    reply.headers["cache-control"] = "no-store"
    return reply


__all__ = ("routes",)

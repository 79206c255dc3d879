"""``/admin/v1/keys``: what ``hyperllama-gateway keys`` does, over HTTP."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

from litestar import Response, delete, get, patch, post
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath

from hyperllama.auth.key_service import Change, Draft, KeyOffice
from hyperllama.database.key import Issued, Key
from hyperllama.web.admin import asked, wire
from hyperllama.web.admin.answer import json
from hyperllama.web.route import route
from hyperllama.web.streaming import GatewayRequest

KEYS = "/admin/v1/keys"
KEY = f"{KEYS}/{{name:str}}"


def routes(office: Callable[[], Awaitable[KeyOffice]]) -> Sequence[HTTPRouteHandler]:
    """A key is named by its name or its id in every path."""

    @get(KEYS, opt=route(permission="admin", query=wire.KeysQuery, answers=wire.KeyList))
    async def list_keys(request: GatewayRequest) -> Response[bytes]:
        ended = asked.query(request, wire.KeysQuery).all
        return json(wire.KeyList(list(await (await office()).all(ended=ended))))

    @post(KEYS, opt=route(permission="admin", accepts=Draft, answers=wire.KeyIssued))
    async def create_key(request: GatewayRequest) -> Response[bytes]:
        draft = await asked.body(request, Draft)
        return _issued(await (await office()).create(draft, asked.actor(request)), 201)

    @get(KEY, opt=route(permission="admin", answers=Key))
    async def show_key(name: FromPath[str]) -> Response[bytes]:
        return json(await (await office()).get(name))

    @patch(KEY, opt=route(permission="admin", accepts=Change, answers=Key))
    async def update_key(request: GatewayRequest, name: FromPath[str]) -> Response[bytes]:
        change = await asked.body(request, Change)
        return json(await (await office()).update(name, change, asked.actor(request)))

    @post(
        f"{KEY}/rotate", status_code=200, opt=route(permission="admin", accepts=wire.Rotation, answers=wire.KeyIssued)
    )
    async def rotate_key(request: GatewayRequest, name: FromPath[str]) -> Response[bytes]:
        rotation = await asked.body(request, wire.Rotation, empty=True)
        return _issued(await (await office()).rotate(name, rotation.grace, asked.actor(request)), 200)

    @delete(KEY, status_code=200, opt=route(permission="admin", answers=Key))
    async def revoke_key(request: GatewayRequest, name: FromPath[str]) -> Response[bytes]:
        return json(await (await office()).revoke(name, asked.actor(request)))

    return (list_keys, create_key, show_key, update_key, rotate_key, revoke_key)


def _issued(issued: Issued, status: int) -> Response[bytes]:
    reply = json(wire.KeyIssued(issued.key, issued.secret), status)
    reply.headers["cache-control"] = "no-store"
    return reply


__all__ = ("routes",)

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
from hyperllama.web.routing import Resource, route

KEYS = "/admin/v1/keys"
KEY = f"{KEYS}/{{name:str}}"


class KeyRoutes(Resource):
    """Keys. Every path takes a key's name or its id."""

    def __init__(self, service: Callable[[], Awaitable[KeyService]]) -> None:
        """Take ``service``, which is made at each use."""
        self._service = service

    @property
    def handlers(self) -> Sequence[HTTPRouteHandler]:
        """The route handlers, to be mounted by the protocol."""
        listed = route(permission="admin", query=wire.KeysQuery, answers=wire.KeyList)
        created = route(permission="admin", accepts=Draft, answers=wire.KeyIssued)
        shown = route(permission="admin", answers=Key)
        updated = route(permission="admin", accepts=Change, answers=Key)
        rotated = route(permission="admin", accepts=wire.Rotation, answers=wire.KeyIssued)
        return (
            get(KEYS, opt=listed)(self.list_keys),
            post(KEYS, opt=created)(self.create_key),
            get(KEY, opt=shown)(self.show_key),
            patch(KEY, opt=updated)(self.update_key),
            post(f"{KEY}/rotate", status_code=200, opt=rotated)(self.rotate_key),
            delete(KEY, status_code=200, opt=shown)(self.revoke_key),
        )

    async def list_keys(self, request: GatewayRequest) -> Response[bytes]:
        ended = requests.query(request, wire.KeysQuery).all
        return json(wire.KeyList(list(await (await self._service()).all(ended=ended))))

    async def create_key(self, request: GatewayRequest) -> Response[bytes]:
        draft = await requests.body(request, Draft)
        return _issued(await (await self._service()).create(draft, requests.actor(request)), 201)

    async def show_key(self, name: FromPath[str]) -> Response[bytes]:
        return json(await (await self._service()).get(name))

    async def update_key(self, request: GatewayRequest, name: FromPath[str]) -> Response[bytes]:
        change = await requests.body(request, Change)
        return json(await (await self._service()).update(name, change, requests.actor(request)))

    async def rotate_key(self, request: GatewayRequest, name: FromPath[str]) -> Response[bytes]:
        rotation = await requests.body(request, wire.Rotation, empty=True)
        return _issued(await (await self._service()).rotate(name, rotation.grace, requests.actor(request)), 200)

    async def revoke_key(self, request: GatewayRequest, name: FromPath[str]) -> Response[bytes]:
        return json(await (await self._service()).revoke(name, requests.actor(request)))


def _issued(issued: Issued, status: int) -> Response[bytes]:
    reply = json(wire.KeyIssued(issued.key, issued.secret), status)
    reply.headers["cache-control"] = "no-store"
    return reply


__all__ = ("KeyRoutes",)

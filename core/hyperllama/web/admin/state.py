"""Routes for usage, loaded models, queues and the audit log."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime, time

import msgspec
from litestar import Response, get
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath

from hyperllama.auth.key_service import KeyService
from hyperllama.catalog.catalog import Catalog
from hyperllama.database.audit import AuditLog
from hyperllama.database.usage import Ledger
from hyperllama.errors import NotFound
from hyperllama.pipeline.pipeline import Pipeline
from hyperllama.queue.queue import FairQueue
from hyperllama.web.admin import requests, wire
from hyperllama.web.admin.responses import json
from hyperllama.web.request import GatewayRequest
from hyperllama.web.routing import Resource, route


class UsageRoutes(Resource):
    """Usage. Each route writes this gateway's pending counts before it reads."""

    def __init__(self, ledger: Ledger, service: Callable[[], Awaitable[KeyService]]) -> None:
        self._ledger = ledger
        self._service = service

    @property
    def handlers(self) -> Sequence[HTTPRouteHandler]:
        """The route handlers, to be mounted by the protocol."""
        declared = route(permission="admin", query=wire.UsageQuery, answers=wire.Usage)
        return (
            get("/admin/v1/usage", opt=declared)(self.usage),
            get("/admin/v1/keys/{name:str}/usage", opt=declared)(self.usage_of_key),
        )

    async def usage(self, request: GatewayRequest) -> Response[bytes]:
        query = requests.query(request, wire.UsageQuery)
        return json(await self._lines(query, requests.groups("key,model" if query.by is None else query.by)))

    async def usage_of_key(self, request: GatewayRequest, name: FromPath[str]) -> Response[bytes]:
        query = requests.query(request, wire.UsageQuery)
        try:
            wanted = (await (await self._service()).get(name)).id
        except NotFound:  # of a static key, a token, a network: they are booked by these names
            wanted = name
        by = requests.groups("model" if query.by is None else query.by)
        found = await self._lines(query, tuple(dict.fromkeys((*by, "key"))))
        own = [line for line in found.lines if wanted in (line.key, line.name)]
        return json(wire.Usage(found.since, found.until, own))

    async def _lines(self, query: wire.UsageQuery, by: tuple[str, ...]) -> wire.Usage:
        today = datetime.now(UTC).date()
        first, last = (query.since or today.replace(day=1)).isoformat(), (query.until or today).isoformat()
        await self._ledger.write()
        rows = await self._ledger.report(since=first, until=last, by=by)
        return wire.Usage(first, last, msgspec.convert(rows, list[wire.Line], from_attributes=True))


class StateRoutes(Resource):
    """Models in memory, and those who wait for them."""

    def __init__(self, catalog: Catalog, pipeline: Pipeline, queue: FairQueue) -> None:
        self._catalog = catalog
        self._pipeline = pipeline
        self._queue = queue

    @property
    def handlers(self) -> Sequence[HTTPRouteHandler]:
        """The route handlers, to be mounted by the protocol."""
        return (
            get("/admin/v1/models", opt=route(permission="admin", answers=wire.ModelList))(self.models),
            get("/admin/v1/queue", opt=route(permission="admin", answers=wire.QueueList))(self.queues),
        )

    async def models(self) -> Response[bytes]:
        running = {entry.spec.name: state for entry, state in self._catalog.running()}
        found = []
        for entry in self._catalog.entries():
            model = wire.resting(entry.info, entry.spec.source)
            if (state := running.get(entry.spec.name)) is not None:
                model = msgspec.structs.replace(
                    model,
                    phase=state.progress.phase,
                    detail=state.progress.detail,
                    active=state.active,
                    memory_bytes=state.size_bytes,
                    accelerator_bytes=state.size_vram,
                    expires_at=state.expires_at,
                )
            found.append(model)
        return json(wire.ModelList(found))

    async def queues(self) -> Response[bytes]:
        return json(wire.QueueList(self._pipeline.live, self._queue.states()))


class AuditRoutes(Resource):
    """The audit log."""

    def __init__(self, log: AuditLog) -> None:
        self._log = log

    @property
    def handlers(self) -> Sequence[HTTPRouteHandler]:
        """The route handlers, to be mounted by the protocol."""
        declared = route(permission="admin", query=wire.AuditQuery, answers=wire.AuditPage)
        return (get("/admin/v1/audit", opt=declared)(self.audit),)

    async def audit(self, request: GatewayRequest) -> Response[bytes]:
        query = requests.query(request, wire.AuditQuery)
        since = None if query.since is None else datetime.combine(query.since, time(), UTC).timestamp()
        acts = await self._log.page(
            before=query.before,
            limit=query.limit + 1,
            since=since,
            actor=query.actor,
            act=query.act,
            subject=query.subject,
        )
        following = acts[query.limit - 1].id if len(acts) > query.limit else None
        return json(wire.AuditPage(list(acts[: query.limit]), following))


__all__ = ("AuditRoutes", "StateRoutes", "UsageRoutes")

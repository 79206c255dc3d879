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
from hyperllama.web.routing import route

USAGE = route(permission="admin", query=wire.UsageQuery, answers=wire.Usage)


def usage_routes(ledger: Ledger, service: Callable[[], Awaitable[KeyService]]) -> Sequence[HTTPRouteHandler]:
    """Return the routes of usage. Each writes this gateway's pending counts before it reads."""

    async def lines(query: wire.UsageQuery, by: tuple[str, ...]) -> wire.Usage:
        today = datetime.now(UTC).date()
        first, last = (query.since or today.replace(day=1)).isoformat(), (query.until or today).isoformat()
        await ledger.write()
        rows = await ledger.report(since=first, until=last, by=by)
        return wire.Usage(first, last, msgspec.convert(rows, list[wire.Line], from_attributes=True))

    @get("/admin/v1/usage", opt=USAGE)
    async def usage(request: GatewayRequest) -> Response[bytes]:
        query = requests.query(request, wire.UsageQuery)
        return json(await lines(query, requests.groups("key,model" if query.by is None else query.by)))

    @get("/admin/v1/keys/{name:str}/usage", opt=USAGE)
    async def usage_of_key(request: GatewayRequest, name: FromPath[str]) -> Response[bytes]:
        query = requests.query(request, wire.UsageQuery)
        try:
            wanted = (await (await service()).get(name)).id
        except NotFound:  # of a static key, a token, a network: they are booked by these names
            wanted = name
        by = requests.groups("model" if query.by is None else query.by)
        found = await lines(query, tuple(dict.fromkeys((*by, "key"))))
        own = [line for line in found.lines if wanted in (line.key, line.name)]
        return json(wire.Usage(found.since, found.until, own))

    return (usage, usage_of_key)


def state_routes(catalog: Catalog, pipeline: Pipeline, queue: FairQueue) -> Sequence[HTTPRouteHandler]:
    @get("/admin/v1/models", opt=route(permission="admin", answers=wire.ModelList))
    async def models() -> Response[bytes]:
        running = {entry.spec.name: state for entry, state in catalog.running()}
        found = []
        for entry in catalog.entries():
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

    @get("/admin/v1/queue", opt=route(permission="admin", answers=wire.QueueList))
    async def queues() -> Response[bytes]:
        return json(wire.QueueList(pipeline.live, queue.states()))

    return (models, queues)


def audit_routes(log: AuditLog) -> Sequence[HTTPRouteHandler]:
    @get("/admin/v1/audit", opt=route(permission="admin", query=wire.AuditQuery, answers=wire.AuditPage))
    async def audit(request: GatewayRequest) -> Response[bytes]:
        query = requests.query(request, wire.AuditQuery)
        since = None if query.since is None else datetime.combine(query.since, time(), UTC).timestamp()
        acts = await log.page(
            before=query.before,
            limit=query.limit + 1,
            since=since,
            actor=query.actor,
            act=query.act,
            subject=query.subject,
        )
        following = acts[query.limit - 1].id if len(acts) > query.limit else None
        return json(wire.AuditPage(list(acts[: query.limit]), following))

    return (audit,)


__all__ = ("audit_routes", "state_routes", "usage_routes")

"""The application: rooms wired together, and nothing else."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager

from litestar import Litestar, Router
from litestar.di import Provide
from litestar.types import ASGIApp, Receive, Scope, Send

from hyperllama.app.plugins import Plugins
from hyperllama.auth.authenticator import Authenticator
from hyperllama.auth.key_service import KeyService
from hyperllama.batches.runner import Runner
from hyperllama.catalog.catalog import Catalog
from hyperllama.catalog.stored import CatalogSync
from hyperllama.config import Config
from hyperllama.database.audit import AuditLog
from hyperllama.database.batches import BatchStore
from hyperllama.database.database import Database
from hyperllama.database.files import FOLDER as FILES
from hyperllama.database.files import FileStore
from hyperllama.database.records import DatabaseRecords
from hyperllama.database.usage import Ledger
from hyperllama.errors import ConfigError, ModelNotFound
from hyperllama.identity import Principal
from hyperllama.limits.limits import RateLimits
from hyperllama.limits.quotas import Quotas
from hyperllama.models import ModelSpec
from hyperllama.modelstore.audited_store import AuditedStore
from hyperllama.modelstore.disk_store import DiskModelStore
from hyperllama.modelstore.loadtimes import LoadTimes
from hyperllama.modelstore.upload_quota import UploadQuota
from hyperllama.observability.logging import AccessObserver
from hyperllama.observability.metrics import Metrics
from hyperllama.pipeline.gateway import Kept, LocalGateway
from hyperllama.pipeline.pipeline import Pipeline
from hyperllama.queue.embed_batches import EmbedBatcher
from hyperllama.queue.generate_batches import GenerateBatcher
from hyperllama.queue.queue import FairQueue
from hyperllama.spi import BatchDialect, Gate, Gateway, WireProtocol
from hyperllama.system import memory
from hyperllama.system.network import is_loopback
from hyperllama.text import chain
from hyperllama.web.admin import keys, state
from hyperllama.web.admin.protocol import AdminProtocol
from hyperllama.web.admin.requests import only_from
from hyperllama.web.auth import Authentication
from hyperllama.web.dialects import handlers_for, handlers_for_all, spelling
from hyperllama.web.in_process import InProcessClient
from hyperllama.web.litestar_compat import route_handlers
from hyperllama.web.openapi import openapi_routes
from hyperllama.web.ops import ops_routes
from hyperllama.web.origins import Origins
from hyperllama.web.request_log import RequestLog
from hyperllama.web.route import declared

UNKNOWN_MEMORY = 8 * 2**30
MEMORY_SHARE = 0.8  # of what is free at start, when the config names no budget


class Application:
    """An ASGI application and the rooms behind it. Serve it; its lifespan opens and closes them."""

    def __init__(self, config: Config, *plugins: object) -> None:
        """Loads plugins and describes models: reads files, opens nothing. Raises ConfigError."""
        self.config = config
        self.plugins = Plugins(config, *plugins)
        self.protocols = self.plugins.protocols()
        self.database = Database(config.store_path, config.store.database)
        self.audit = AuditLog(self.database, config.admin)
        self.store = DiskModelStore(config.store_path / "models", names=config.store.names)
        most = config.store.max_key_bytes
        room = UploadQuota(self.database, self.store.blobs, most) if most is not None else None
        self.managed = AuditedStore(self.store, self.audit, room)
        sources = {**self.plugins.model_sources(), self.store.source.scheme: self.store.source}
        self.catalog = Catalog(
            config.server,
            engines=self.plugins.engines(),
            sources=sources,
            load_times=LoadTimes(config.store_path / "load-times.json"),
            memory=config.server.memory_budget or int(memory.available(UNKNOWN_MEMORY) * MEMORY_SHARE),
        )
        offered = [spec for source in sources.values() for spec in source.models()]
        self.catalog.add(config.models.values())
        self.left_out = _offer(self.catalog, offered)
        CatalogSync(self.catalog, self.store)
        self.store.refresh()
        parsers = {**chain.parsers(), **self.plugins.transforms()}
        chain.check((entry.spec for entry in self.catalog.entries()), parsers)
        self.ledger = Ledger(self.database)
        self.limits = RateLimits(config.limits)
        self.quotas = Quotas(config.limits, self.ledger)
        self.queue = FairQueue(config.queue)
        self.catalog.on_load_failure(self.queue.refuse)
        self.batcher = EmbedBatcher(config.queue)
        self.generations = GenerateBatcher(config.queue)
        gates: tuple[Gate, ...] = (self.limits, self.quotas, self.queue, *self.plugins.gates())
        self.pipeline = Pipeline(
            self.catalog,
            gates=sorted(gates, key=lambda gate: gate.order),
            stages=self.plugins.stages(),
            observers=(AccessObserver(), self.ledger, *self.plugins.observers()),
            generate=self.generations.generate,
            transform=lambda request, entry: chain.compose(request, entry.info, entry.spec, parsers),
        )
        self.records = DatabaseRecords(self.database, max_bytes=config.store.max_record_bytes)
        self.files = FileStore(self.database, config.store_path, config.batches)
        wake = asyncio.Event()
        self.batches = BatchStore(self.database, self.files, config.batches, changed=wake.set)
        kept = Kept(self.records, self.files, self.batches) if config.batches.enabled else Kept(self.records)
        self.gateway: Gateway = LocalGateway(
            self.catalog, self.pipeline, self.batcher.embed, store=self.managed, kept=kept, audit=self.audit
        )
        self.metrics = (
            Metrics(self.catalog, self.pipeline, self.queue, self.batcher, self.batches.tally)
            if config.metrics.enabled
            else None
        )
        if self.metrics is not None:
            self.pipeline.add_observer(self.metrics)
        providers = self.plugins.auth_providers()
        self.door = Authenticator(config, self.database, others=bool(providers))
        self._providers = (*providers, self.door)
        self.litestar = self._litestar()
        guarded = Origins(
            self.litestar,
            bound_to_loopback=is_loopback(config.server.host),
            allowed_origins=config.server.cors_origins,
            allowed_hosts=config.server.allowed_hosts,
        )
        self.runner = Runner(
            config.store_path / FILES,
            config.batches,
            store=self.batches,
            files=self.files,
            dialects={n: p for n, p in self.protocols.items() if isinstance(p, BatchDialect)},
            wake=wake,
            ask=InProcessClient(RequestLog(self.litestar)),
            places=self._places,
            renew=self.door.renew,
        )
        self._asgi: ASGIApp = RequestLog(guarded, answered=self.metrics.answered if self.metrics is not None else None)

    @property
    def asks_for_keys(self) -> bool:
        """Whether callers must show credentials."""
        return self.door.required

    def apply(self, config: Config) -> None:
        """New bounds for who goes in; whoever is inside stays. Models are the catalog's business."""
        self.config = config
        self.limits.reload(config.limits)
        self.quotas.reload(config.limits)
        self.queue.reload(config.queue)
        self.batcher.reload(config.queue)
        self.generations.reload(config.queue)

    def begin_shutdown(self) -> None:
        """Refuse what comes and put out what waits; what runs goes on."""
        self.runner.stop()
        self.queue.refuse(self.pipeline.refuse())

    def _places(self, model: str, principal: Principal) -> int:
        """Lines of a batch at once: so many that clients who come find room in the engine's own batch."""
        if self.config.batches.concurrency:
            return self.config.batches.concurrency
        try:
            most = self.gateway.model(model, principal).max_batch_size
        except ModelNotFound:
            return 1
        return max(most * 3 // 4, 1)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._asgi(scope, receive, send)

    def _litestar(self) -> Litestar:
        protocols = list(self.protocols.values())
        if self.config.admin.enabled:
            protocols.append(self._admin())
        self.spell = spelling(protocols)

        ops = [*ops_routes(self.catalog, self.pipeline, self.metrics)]
        if self.config.server.openapi:
            ops += openapi_routes(protocols)

        async def gateway() -> Gateway:
            return self.gateway

        app = Litestar(
            route_handlers=[*(_mount(protocol) for protocol in protocols), *ops],
            middleware=[Authentication(self._providers)],
            dependencies={"gateway": Provide(gateway)},
            exception_handlers=handlers_for_all(protocols),
            lifespan=[self._lifespan],
            openapi_config=None,
            logging_config=None,
            request_max_body_size=self.config.server.max_body_bytes,
        )
        for handler in route_handlers(app):
            declared(handler)
        return app

    def _admin(self) -> WireProtocol:
        async def key_service() -> KeyService:
            return KeyService(await self.door.key_cache.store(), self.audit, self.config)

        routes = (
            *keys.routes(key_service),
            *state.usage_routes(self.ledger, key_service),
            *state.state_routes(self.catalog, self.pipeline, self.queue),
            *state.audit_routes(self.audit),
        )
        return AdminProtocol(routes, only_from(self.config.admin.networks))

    @asynccontextmanager
    async def _lifespan(self, _: Litestar) -> AsyncGenerator[None, None]:
        async with AsyncExitStack() as stack:
            stack.push_async_callback(self.catalog.close)
            await self.store.open()
            stack.push_async_callback(self.store.close)
            stack.push_async_callback(self.database.close)
            for room in (self.door, self.ledger, self.limits, self.records, self.audit):
                await stack.enter_async_context(room)
            for context in self.plugins.lifespans(self.gateway):
                await stack.enter_async_context(context)
            await stack.enter_async_context(self.runner)
            for entry in self.catalog.entries():
                if entry.spec.preload:
                    self.catalog.preload(entry)
            yield


def create_app(config: Config, *plugins: object) -> Application:
    """The gateway as an ASGI application. ``plugins`` are added to the installed ones."""
    return Application(config, *plugins)


def _offer(catalog: Catalog, offered: Sequence[ModelSpec]) -> dict[str, str]:
    """Add what sources offer under names that the config does not use. Returns why any other was left out.

    Nobody asked for these by name: one that cannot run here, its engine not installed, keeps nothing from starting.
    """
    left_out = {}
    for spec in offered:
        if catalog.knows(spec.name):
            continue
        try:
            catalog.add([spec])
        except ConfigError as error:
            left_out[spec.name] = str(error)
    return left_out


def _mount(protocol: WireProtocol) -> Router:
    """Every route of a protocol, failing in its own dialect."""
    if not protocol.routes:
        raise ConfigError(f"protocol {protocol.name!r} has no routes")
    return Router(path="/", route_handlers=list(protocol.routes), exception_handlers=handlers_for(protocol))


__all__ = ("Application", "create_app")

"""The composition root: storage, models, limits, pipeline and web are built in this order, each from those before."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager

from litestar import Litestar
from litestar.types import Receive, Scope, Send

from hyperllama.app.generation import build_pipeline
from hyperllama.app.limits import build_limits
from hyperllama.app.models import build_models
from hyperllama.app.plugins import Plugins
from hyperllama.app.storage import build_storage
from hyperllama.app.web import build_web
from hyperllama.catalog.catalog import Catalog
from hyperllama.config import Config
from hyperllama.pipeline.pipeline import Pipeline
from hyperllama.spi import Gateway


class Application:
    """An ASGI application and the parts behind it. Serve it: its lifespan opens and closes them."""

    def __init__(self, config: Config, *plugins: object) -> None:
        """Load plugins and describe models: read files, open nothing. Raise ConfigError."""
        self.config = config
        self.plugins = Plugins(config, *plugins)
        self.storage = build_storage(config)
        self.models = build_models(config, self.plugins, self.storage.database, self.storage.audit)
        self.limits = build_limits(config, self.plugins, self.storage.ledger)
        self.generation = build_pipeline(config, self.plugins, self.storage, self.models, self.limits)
        self.web = build_web(
            config, self.plugins, self.storage, self.models, self.limits, self.generation, self._lifespan
        )

    @property
    def catalog(self) -> Catalog:
        return self.models.catalog

    @property
    def pipeline(self) -> Pipeline:
        return self.generation.pipeline

    @property
    def gateway(self) -> Gateway:
        return self.generation.gateway

    @property
    def requires_keys(self) -> bool:
        """True when callers must send credentials."""
        return self.web.authenticator.required

    def apply(self, config: Config) -> None:
        """Apply the limits of ``config`` to the next requests. Models are changed in the catalog."""
        self.limits.reload(config)
        self.generation.reload(config)
        self.config = config

    def begin_shutdown(self) -> None:
        """Refuse new requests and those that wait; what runs goes on."""
        self.web.batch_runner.stop()
        self.limits.queue.refuse(self.pipeline.refuse())

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self.web.asgi(scope, receive, send)

    @asynccontextmanager
    async def _lifespan(self, _: Litestar) -> AsyncGenerator[None, None]:
        storage, models = self.storage, self.models
        async with AsyncExitStack() as stack:
            stack.push_async_callback(models.catalog.close)
            await models.store.open()
            stack.push_async_callback(models.store.close)
            stack.push_async_callback(storage.database.close)
            for part in (self.web.authenticator, storage.ledger, self.limits.rates, storage.records, storage.audit):
                await stack.enter_async_context(part)
            for context in self.plugins.lifespans(self.gateway):
                await stack.enter_async_context(context)
            await stack.enter_async_context(self.web.batch_runner)
            for entry in models.catalog.entries():
                if entry.spec.preload:
                    models.catalog.preload(entry)
            yield


def create_app(config: Config, *plugins: object) -> Application:
    """Return the gateway as an ASGI application. ``plugins`` are added to the installed ones. Raise ConfigError."""
    return Application(config, *plugins)


__all__ = ("Application", "create_app")

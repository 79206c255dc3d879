"""The application over HTTP: the dialects and the gateway's own routes, in the layers that stand around them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from functools import partial

import msgspec
from litestar import Litestar
from litestar.types import ASGIApp, Middleware

from hyperllama.app.generation import Generation
from hyperllama.app.limits import Limits
from hyperllama.app.models import Models
from hyperllama.app.plugins import Plugins
from hyperllama.app.storage import Storage
from hyperllama.auth.authenticator import Authenticator
from hyperllama.auth.key_service import KeyService
from hyperllama.batches.runner import Runner
from hyperllama.config import Config
from hyperllama.database.files import FOLDER as FILES
from hyperllama.errors import ModelNotFound
from hyperllama.identity import Principal
from hyperllama.server.bounds import Spell
from hyperllama.spi import AllowsOrigins, AuthProvider, BatchDialect, SharesPaths, WireProtocol
from hyperllama.system.network import is_loopback
from hyperllama.web.admin.keys import KeyRoutes
from hyperllama.web.admin.protocol import AdminProtocol
from hyperllama.web.admin.requests import only_from
from hyperllama.web.admin.state import AuditRoutes, StateRoutes, UsageRoutes
from hyperllama.web.auth import Authentication
from hyperllama.web.dialects import spelling
from hyperllama.web.in_process import InProcessClient
from hyperllama.web.litestar_app import litestar_app
from hyperllama.web.openapi import OpenApiRoutes
from hyperllama.web.ops import OpsRoutes
from hyperllama.web.origins import Origins
from hyperllama.web.request_log import OnAnswered, RequestLog
from hyperllama.web.shared_paths import SharedPaths

Lifespan = Callable[[Litestar], AbstractAsyncContextManager[None]]


class Web(msgspec.Struct, frozen=True):
    """``asgi`` is what a server calls; ``litestar`` is the innermost of its layers, with the routes."""

    asgi: ASGIApp
    litestar: Litestar
    authenticator: Authenticator
    format_refusal: Spell
    batch_runner: Runner


class Layers(msgspec.Struct, frozen=True):
    """Layers from the outside in: ``around`` Litestar, then ``within`` it, where the matched route is known."""

    around: Sequence[Callable[[ASGIApp], ASGIApp]]
    within: Sequence[Middleware]


def middleware(
    config: Config,
    providers: Sequence[AuthProvider],
    on_answered: OnAnswered | None,
    *,
    origins: Sequence[str] = (),
    sharing: Sequence[SharesPaths] = (),
) -> Layers:
    """Return what a request passes, in order, between the HTTP server and its route.

    ``origins``: of web pages that may call beside the configured ones; ``sharing``: dialects on the paths of others.
    """
    return Layers(
        around=(
            # Each exchange has an id, the core's own headers, a line in the log and a place in the metrics.
            partial(RequestLog, answered=on_answered),
            # A web page or a host name that is not allowed is refused: no page of a stranger reaches this machine.
            partial(
                Origins,
                bound_to_loopback=is_loopback(config.server.host),
                allowed_origins=(*origins, *config.server.cors_origins),
                allowed_hosts=config.server.allowed_hosts,
            ),
            # A path that two dialects have leads to the routes of the one whose clients send the request.
            partial(SharedPaths, protocols=sharing),
        ),
        within=(
            # The caller is known and has the route's permission before a byte of the body is read.
            Authentication(providers),
        ),
    )


def build_web(
    config: Config,
    plugins: Plugins,
    storage: Storage,
    models: Models,
    limits: Limits,
    generation: Generation,
    lifespan: Lifespan,
) -> Web:
    """Return the application over HTTP. Open nothing. Raise ConfigError for a route without a permission."""
    dialects = plugins.protocols()
    provided = plugins.auth_providers()
    authenticator = Authenticator(config, storage.database, others=bool(provided))
    protocols: list[WireProtocol] = list(dialects.values())
    if config.admin.enabled:
        protocols.append(_admin(config, storage, models, limits, generation, authenticator))
    routes = [*OpsRoutes(models.catalog, generation.pipeline, generation.metrics).handlers]
    if config.server.openapi:
        routes += OpenApiRoutes(protocols).handlers
    metrics = generation.metrics
    layers = middleware(
        config,
        (*provided, authenticator),
        metrics.answered if metrics is not None else None,
        origins=[origin for dialect in protocols if isinstance(dialect, AllowsOrigins) for origin in dialect.origins],
        sharing=[dialect for dialect in protocols if isinstance(dialect, SharesPaths)],
    )
    litestar = litestar_app(
        protocols,
        generation.gateway,
        middleware=layers.within,
        max_body_bytes=config.server.max_body_bytes,
        routes=routes,
        lifespan=(lifespan,),
    )
    asgi: ASGIApp = litestar
    for layer in reversed(layers.around):
        asgi = layer(asgi)
    runner = Runner(
        config.store_path / FILES,
        config.batches,
        store=storage.batches,
        files=storage.files,
        dialects={name: dialect for name, dialect in dialects.items() if isinstance(dialect, BatchDialect)},
        wake=storage.new_batches,
        ask=InProcessClient(RequestLog(litestar)),
        places=partial(_lines_at_once, config, generation),
        renew=authenticator.renew,
        ledger=storage.ledger,
    )
    return Web(asgi, litestar, authenticator, spelling(protocols), runner)


def _admin(
    config: Config,
    storage: Storage,
    models: Models,
    limits: Limits,
    generation: Generation,
    authenticator: Authenticator,
) -> WireProtocol:
    async def key_service() -> KeyService:
        return KeyService(await authenticator.key_cache.store(), storage.audit, config)

    routes = (
        *KeyRoutes(key_service).handlers,
        *UsageRoutes(storage.ledger, key_service).handlers,
        *StateRoutes(models.catalog, generation.pipeline, limits.queue).handlers,
        *AuditRoutes(storage.audit).handlers,
    )
    return AdminProtocol(routes, only_from(config.admin.networks))


def _lines_at_once(config: Config, generation: Generation, model: str, principal: Principal) -> int:
    """Return how many lines of a batch run together: a quarter of the engine is left to interactive callers."""
    if config.batches.concurrency:
        return config.batches.concurrency
    try:
        most = generation.gateway.model(model, principal).max_batch_size
    except ModelNotFound:
        return 1
    return max(most * 3 // 4, 1)


__all__ = ("Web", "build_web", "middleware")

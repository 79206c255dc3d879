"""Routes for whoever runs the gateway: alive, ready."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
from litestar import Response, get
from litestar.handlers import HTTPRouteHandler

from hyperllama.catalog import Catalog
from hyperllama.pipeline import Pipeline

_JSON = msgspec.json.Encoder()


def ops_routes(catalog: Catalog, pipeline: Pipeline) -> Sequence[HTTPRouteHandler]:
    @get("/health", opt={"permission": "public"}, sync_to_thread=False)
    def health() -> Response[bytes]:
        """Alive: the process answers."""
        return _json({"status": "ok"})

    @get("/ready", opt={"permission": "public"}, sync_to_thread=False)
    def ready() -> Response[bytes]:
        """Ready: new work is taken, and every model that was to be preloaded is in memory or past its first failure."""
        loading = {
            entry.spec.name: running.progress.phase
            for entry, running in catalog.running()
            if running.progress.phase != "ready" and entry.spec.preload
        }
        if pipeline.refusing:
            return _json({"status": "draining"}, 503)
        if loading:
            return _json({"status": "loading", "models": loading}, 503)
        return _json({"status": "ready"})

    return health, ready


def _json(value: object, status: int = 200) -> Response[bytes]:
    return Response(_JSON.encode(value), media_type="application/json", status_code=status)


__all__ = ("ops_routes",)

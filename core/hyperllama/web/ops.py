"""Routes for operators: liveness, readiness and metrics."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Literal

import msgspec
from litestar import HttpMethod, Response, get
from litestar.handlers import HTTPRouteHandler
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from hyperllama.catalog.catalog import Catalog
from hyperllama.models import Phase
from hyperllama.observability.metrics import Metrics
from hyperllama.pipeline.pipeline import Pipeline
from hyperllama.server.guard import Guard
from hyperllama.server.loop_lag import LoopLag
from hyperllama.web.routing import Resource, route

_JSON = msgspec.json.Encoder()
_LOOKS = (HttpMethod.GET, HttpMethod.HEAD)  # some load balancers send HEAD


class State(msgspec.Struct, frozen=True, omit_defaults=True):
    """``models``: those that are still being loaded, and how far each is."""

    status: Literal["ok", "ready", "loading", "draining"]
    models: dict[str, Phase] = {}


class OpsRoutes(Resource):
    """``/health``, ``/ready`` and, unless ``metrics`` is None, ``/metrics``."""

    def __init__(self, catalog: Catalog, pipeline: Pipeline, metrics: Metrics | None) -> None:
        self._catalog = catalog
        self._pipeline = pipeline
        self._metrics = metrics

    @property
    def handlers(self) -> Sequence[HTTPRouteHandler]:
        """The route handlers, to be mounted by the application."""
        alive = route(permission="public", answers=State)
        may_serve = route(permission="public", answers=State, statuses=(200, 503))
        found = (
            HTTPRouteHandler("/health", http_method=_LOOKS, opt=alive, sync_to_thread=False)(self.health),
            HTTPRouteHandler("/ready", http_method=_LOOKS, opt=may_serve, sync_to_thread=False)(self.ready),
        )
        if self._metrics is None:
            return found
        counted = route(permission="admin", streams="text/plain")
        return (*found, get("/metrics", opt=counted, sync_to_thread=False)(self.expose))

    def health(self) -> Response[bytes]:
        """Alive: the process answers."""
        return _json(State("ok"))

    def ready(self) -> Response[bytes]:
        """Ready: new work is taken, and every model that was to be preloaded is in memory or past its first failure."""
        loading: dict[str, Phase] = {
            entry.spec.name: running.progress.phase
            for entry, running in self._catalog.running()
            if running.progress.phase != "ready" and entry.spec.preload
        }
        if self._pipeline.refusing:
            return _json(State("draining"), 503)
        if loading:
            return _json(State("loading", loading), 503)
        return _json(State("ready"))

    def expose(self) -> Response[bytes]:
        """Everything counted, in Prometheus' text format. Only where there are metrics."""
        counts = self._metrics.expose() if self._metrics is not None else b""
        return Response(counts, media_type="text/plain; version=0.0.4")


def _json(value: State, status: int = 200) -> Response[bytes]:
    return Response(_JSON.encode(value), media_type="application/json", status_code=status)


class ServerState(Collector):
    """The server's own figures at the moment of the scrape. Each scrape resets the longest delay."""

    def __init__(self, guard: Guard, lag: LoopLag) -> None:
        self._guard = guard
        self._lag = lag

    def collect(self) -> Iterable[Metric]:
        guard, lag = self._guard, self._lag
        yield GaugeMetricFamily("hyperllama_connections", "Open connections", value=len(guard.connections))
        refused = CounterMetricFamily(
            "hyperllama_connections_refused",
            "Requests and connections the server turned away before the application saw them",
            labels=["reason"],
        )
        for reason, count in guard.refused.items():
            refused.add_metric([reason], count)
        yield refused
        worst = lag.take_worst()
        yield GaugeMetricFamily("hyperllama_loop_lag_seconds", "Longest delay since the last scrape", value=worst)
        yield CounterMetricFamily("hyperllama_loop_stalls", "Delays that clients feel", value=lag.stalls)


__all__ = ("OpsRoutes", "ServerState")

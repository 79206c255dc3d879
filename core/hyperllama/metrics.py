"""What `/metrics` shows. Labels come from the configuration and closed sets only, never from what clients send."""

from __future__ import annotations

from collections.abc import Iterable

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from hyperllama.catalog import Catalog
from hyperllama.pipeline import Pipeline
from hyperllama.spi import Call
from hyperllama.stages.queue import FairQueue

_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)


class Metrics:
    """An observer of finished calls with a registry of its own."""

    def __init__(self, catalog: Catalog, pipeline: Pipeline, queue: FairQueue) -> None:
        registry = self._registry = CollectorRegistry()
        registry.register(_State(catalog, pipeline, queue))
        labels = ("model", "protocol")
        self._requests = Counter(
            "hyperllama_requests", "Calls that ended, by outcome", (*labels, "outcome", "reason"), registry=registry
        )

        def counter(name: str, text: str) -> Counter:
            return Counter(f"hyperllama_{name}", text, labels, registry=registry)

        def histogram(name: str, text: str) -> Histogram:
            return Histogram(f"hyperllama_{name}_seconds", text, labels, buckets=_SECONDS, registry=registry)

        self._counters = (
            counter("prompt_tokens", "Tokens of prompts"),
            counter("cached_tokens", "Prompt tokens found in the cache"),
            counter("completion_tokens", "Tokens generated"),
        )
        self._histograms = (
            histogram("queue", "Wait for a place in the batch"),
            histogram("load_wait", "Wait for the model to load"),
            histogram("time_to_first_token", "From the decoded request to the first chunk"),
            histogram("request", "From the decoded request to the last chunk"),
            histogram("inter_token", "Mean time between the tokens of a call"),
        )
        self._bound: dict[tuple[str, str], _Bound] = {}

    def finished(self, call: Call) -> None:
        key = (call.info.name, call.caller.protocol)
        bound = self._bound.get(key)
        if bound is None:
            bound = self._bound[key] = _Bound(
                [series.labels(*key) for series in self._counters],
                [series.labels(*key) for series in self._histograms],
            )
        reason = call.error.code if call.error is not None else ""
        self._requests.labels(*key, call.outcome or "", reason).inc()
        bound.count(call)

    def expose(self) -> bytes:
        """The text exposition format."""
        return generate_latest(self._registry)


class _Bound:
    """Series of one model and protocol, looked up once."""

    def __init__(self, counters: list[Counter], histograms: list[Histogram]) -> None:
        self._prompt, self._cached, self._completion = counters
        self._queue, self._load, self._first, self._duration, self._between = histograms

    def count(self, call: Call) -> None:
        if call.usage is not None:
            self._prompt.inc(call.usage.prompt_tokens)
            self._cached.inc(call.usage.cached_tokens)
            self._completion.inc(call.usage.completion_tokens)
        if call.admitted:
            self._queue.observe((call.admitted - call.started) / 1e9)
        if call.loaded:
            self._load.observe((call.loaded - call.admitted) / 1e9)
        if call.first:
            self._first.observe((call.first - call.started) / 1e9)
        if call.last:
            self._duration.observe((call.last - call.started) / 1e9)
            if call.tokens > 1 and call.first:
                self._between.observe((call.last - call.first) / 1e9 / (call.tokens - 1))


class _State(Collector):
    """What is true at the moment of the scrape."""

    def __init__(self, catalog: Catalog, pipeline: Pipeline, queue: FairQueue) -> None:
        self._catalog = catalog
        self._pipeline = pipeline
        self._queue = queue

    def collect(self) -> Iterable[Metric]:
        yield GaugeMetricFamily("hyperllama_generations_running", "Generations under way", value=self._pipeline.live)
        loaded = GaugeMetricFamily("hyperllama_model_loaded", "1 when in memory", labels=["model"])
        memory = GaugeMetricFamily(
            "hyperllama_model_memory_bytes", "Resident memory of its processes", labels=["model"]
        )
        active = GaugeMetricFamily("hyperllama_model_active", "Requests that hold it", labels=["model"])
        running = {entry.spec.name: model for entry, model in self._catalog.running()}
        for entry in self._catalog.entries():
            model = running.get(entry.spec.name)
            loaded.add_metric([entry.spec.name], 1.0 if model and model.progress.phase == "ready" else 0.0)
            memory.add_metric([entry.spec.name], model.size_bytes if model else 0)
            active.add_metric([entry.spec.name], model.active if model else 0)
        yield from (loaded, memory, active)
        labels = ["model", "kind"]
        waiting = GaugeMetricFamily("hyperllama_queue_waiting", "Requests that wait for a place", labels=labels)
        taken = GaugeMetricFamily("hyperllama_batch_running", "Places of the batch that are taken", labels=labels)
        places = GaugeMetricFamily("hyperllama_batch_places", "Places of the batch", labels=labels)
        for state in self._queue.states():
            kind = "embedding" if state.embeddings else "generation"
            waiting.add_metric([state.model, kind], state.waiting)
            taken.add_metric([state.model, kind], state.running)
            places.add_metric([state.model, kind], state.places)
        yield from (waiting, taken, places)


__all__ = ("Metrics",)

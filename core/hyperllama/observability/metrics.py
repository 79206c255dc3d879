"""Metrics of ``/metrics``: labels come from the configuration and closed sets only, never from what clients send."""

from __future__ import annotations

from collections.abc import Iterable

from prometheus_client import CollectorRegistry, Counter, Histogram, ProcessCollector, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from hyperllama.catalog.catalog import Catalog
from hyperllama.database.batches import Tally
from hyperllama.database.usage import Ledger
from hyperllama.observability.request_record import RequestRecord
from hyperllama.pipeline.pipeline import Pipeline
from hyperllama.queue.embed_batches import EmbedBatcher
from hyperllama.queue.queue import FairQueue
from hyperllama.spi import AuxiliaryWork, Beats, Call

_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)
_SHORT = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 1)


class Metrics:
    """An observer of finished calls and exchanges, with a registry of its own."""

    def __init__(
        self, catalog: Catalog, pipeline: Pipeline, queue: FairQueue, batcher: EmbedBatcher, batches: Tally
    ) -> None:
        registry = self._registry = CollectorRegistry()
        ProcessCollector(registry=registry)
        registry.register(_State(catalog, pipeline, queue, batcher, batches))
        labels = ("model", "protocol")

        def counter(name: str, text: str, *more: str) -> Counter:
            return Counter(f"hyperllama_{name}", text, (*labels, *more), registry=registry)

        def histogram(name: str, text: str) -> Histogram:
            return Histogram(f"hyperllama_{name}_seconds", text, labels, buckets=_SECONDS, registry=registry)

        self._requests = counter("requests", "Calls that ended, by outcome", "outcome", "reason")
        self._cancelled = counter("cancellations", "Calls whose client left, by where they were", "place")
        self._counters = (
            counter("prompt_tokens", "Tokens of prompts"),
            counter("cached_tokens", "Prompt tokens found in the cache"),
            counter("completion_tokens", "Tokens generated"),
            counter("left_out", "Messages, or inputs to embed, that were cut so that they fit the context"),
        )
        self._histograms = (
            histogram("queue", "Wait for a place in the batch"),
            histogram("load_wait", "Wait for the model to load"),
            histogram("time_to_first_token", "From the decoded request to the first chunk"),
            histogram("request", "From the decoded request to the last chunk"),
            histogram("inter_token", "Mean time between the tokens of a call"),
        )
        self._bound: dict[tuple[str, str], _Bound] = {}
        self._responses = Counter(
            "hyperllama_responses", "HTTP answers; 499: the client left before one", ("status",), registry=registry
        )
        self._overhead = Histogram(
            "hyperllama_overhead_seconds",
            "Time of an answer before and after its calls: reading, keys, decoding; encoding and sending the end",
            buckets=_SHORT,
            registry=registry,
        )

    def add(self, collector: Collector) -> None:
        """Show what ``collector`` says, too."""
        self._registry.register(collector)

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
        if call.outcome == "cancelled":
            self._cancelled.labels(*key, _place(call)).inc()
        if not isinstance(call.request, AuxiliaryWork):  # its times are of another kind
            bound.count(call)

    def answered(self, record: RequestRecord, status: int, began: int, ended: int) -> None:
        """Count an HTTP exchange that is over; times as in ``Call``."""
        self._responses.labels(status).inc()
        finished = [call for call in record.calls if call.outcome == "finished"]
        if finished and len(finished) == len(record.calls):
            first, last = min(call.started for call in finished), max(call.last for call in finished)
            self._overhead.observe((first - began + ended - last) / 1e9)

    def expose(self) -> bytes:
        """Return all metrics in the text exposition format."""
        return generate_latest(self._registry)


def _place(call: Call) -> str:
    """Return the place of a call in the pipeline when its client left."""
    if not call.admitted:
        return "queue"
    if not call.loaded:
        return "load"
    return "stream" if call.first else "engine"


class _Bound:
    """Series of one model and protocol, looked up once."""

    def __init__(self, counters: list[Counter], histograms: list[Histogram]) -> None:
        self._prompt, self._cached, self._completion, self._truncated = counters
        self._queue, self._load, self._first, self._duration, self._between = histograms

    def count(self, call: Call) -> None:
        self._truncated.inc(call.truncated)
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


class LedgerState(Collector):
    """Rows of usage that the ledger lost."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    def collect(self) -> Iterable[Metric]:
        text = "Rows of usage that the database does not take, or that were too many while it was away"
        yield CounterMetricFamily("hyperllama_usage_rows_lost", text, value=self._ledger.lost)


class _State(Collector):
    """Gauges and counters that are read at the moment of the scrape."""

    def __init__(
        self, catalog: Catalog, pipeline: Pipeline, queue: FairQueue, batcher: EmbedBatcher, batches: Tally
    ) -> None:
        self._catalog = catalog
        self._pipeline = pipeline
        self._queue = queue
        self._batcher = batcher
        self._batches = batches

    def collect(self) -> Iterable[Metric]:
        yield GaugeMetricFamily("hyperllama_generations_running", "Generations under way", value=self._pipeline.live)
        yield from self._models()
        yield from self._histories()
        yield from self._queues()
        calls, inputs = self._batcher.calls, self._batcher.inputs
        yield CounterMetricFamily("hyperllama_embed_batches", "Engine calls for embeddings", value=calls)
        yield CounterMetricFamily("hyperllama_embed_batch_inputs", "Texts in those calls", value=inputs)
        yield from self._jobs()

    def _models(self) -> Iterable[Metric]:
        loaded = _gauge("model_loaded", "1 when in memory")
        memory = _gauge("model_memory_bytes", "Resident memory of its processes")
        active = _gauge("model_active", "Requests that hold it")
        silent = _gauge("engine_silent_seconds", "Since the last sign of life of its process")
        running = {entry.spec.name: model for entry, model in self._catalog.running()}
        for entry in self._catalog.entries():
            name = [entry.spec.name]
            model = running.get(entry.spec.name)
            instance = entry.instance
            hold = instance.holds.get(entry) if instance is not None else None
            ready = hold is not None and instance is not None and instance.model is not None
            loaded.add_metric(name, 1.0 if ready else 0.0)
            memory.add_metric(name, model.size_bytes if model else 0)  # once for all names that share a process
            active.add_metric(name, hold.active if hold is not None else 0)
            host: object = instance.model if model is not None and instance is not None else None
            if isinstance(host, Beats):
                silent.add_metric(name, host.silent_for())
        return loaded, memory, active, silent

    def _histories(self) -> Iterable[Metric]:
        loads = CounterMetricFamily("hyperllama_model_loads", "Loads, by how they ended", labels=["model", "outcome"])
        seconds = CounterMetricFamily("hyperllama_model_load_seconds", "Time they took together", labels=["model"])
        deaths = CounterMetricFamily("hyperllama_engine_deaths", "Engines that died or hung", labels=["model"])
        for entry in self._catalog.entries():
            name, history = entry.spec.name, entry.history
            loads.add_metric([name, "loaded"], history.loads)
            loads.add_metric([name, "failed"], history.failed)
            seconds.add_metric([name], history.seconds)
            deaths.add_metric([name], history.deaths)
        return loads, seconds, deaths

    def _queues(self) -> Iterable[Metric]:
        waiting = _gauge("queue_waiting", "Requests that wait for a place", "kind")
        tokens = _gauge("queue_waiting_tokens", "Tokens of their prompts, estimated", "kind")
        taken = _gauge("batch_running", "Places of the batch that are taken", "kind")
        places = _gauge("batch_places", "Places of the batch", "kind")
        for state in self._queue.states():
            labels = [state.model, "embedding" if state.embeddings else "generation"]
            waiting.add_metric(labels, state.waiting)
            tokens.add_metric(labels, state.waiting_tokens)
            taken.add_metric(labels, state.running)
            places.add_metric(labels, state.places)
        return waiting, tokens, taken, places

    def _jobs(self) -> Iterable[Metric]:
        """Return the jobs of /v1/batches; of gateways that share a folder, the one that runs them counts them."""
        jobs = GaugeMetricFamily("hyperllama_batch_jobs", "Batches that have not ended", labels=["state"])
        ended = CounterMetricFamily("hyperllama_batch_jobs_ended", "Batches, by how they ended", labels=["state"])
        lines = CounterMetricFamily("hyperllama_batch_lines", "Lines of batches with a result", labels=["outcome"])
        for state, count in self._batches.open.items():
            jobs.add_metric([state], count)
        for state, count in self._batches.ended.items():
            ended.add_metric([state], count)
        lines.add_metric(["completed"], self._batches.completed)
        lines.add_metric(["failed"], self._batches.failed)
        return jobs, ended, lines


def _gauge(name: str, text: str, *more: str) -> GaugeMetricFamily:
    return GaugeMetricFamily(f"hyperllama_{name}", text, labels=["model", *more])


__all__ = ("LedgerState", "Metrics")

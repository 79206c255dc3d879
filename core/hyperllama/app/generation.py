"""The way of a request from a dialect to an engine: the pipeline, the gateway that dialects see, and what counts it."""

from __future__ import annotations

import msgspec

from hyperllama.app.limits import Limits
from hyperllama.app.models import Models
from hyperllama.app.plugins import Plugins
from hyperllama.app.storage import Storage
from hyperllama.config import Config
from hyperllama.observability.metrics import LedgerState, Metrics
from hyperllama.observability.request_record import AccessObserver
from hyperllama.pipeline.gateway import Kept, LocalGateway
from hyperllama.pipeline.pipeline import Pipeline
from hyperllama.queue.embed_batches import EmbedBatcher
from hyperllama.queue.generate_batches import GenerateBatcher
from hyperllama.spi import Gateway
from hyperllama.text import chain


class Generation(msgspec.Struct, frozen=True):
    """``metrics`` None: the configuration wants none."""

    pipeline: Pipeline
    gateway: Gateway
    embeds: EmbedBatcher
    generates: GenerateBatcher
    metrics: Metrics | None

    def reload(self, config: Config) -> None:
        """Apply new batching to the next requests."""
        self.embeds.reload(config.queue)
        self.generates.reload(config.queue)


def build_pipeline(config: Config, plugins: Plugins, storage: Storage, models: Models, limits: Limits) -> Generation:
    """Connect models and limits to the one loop over tokens. Open nothing."""
    embeds = EmbedBatcher(config.queue)
    generates = GenerateBatcher(config.queue)
    pipeline = Pipeline(
        models.catalog,
        gates=limits.gates,
        stages=plugins.stages(),
        observers=(AccessObserver(), storage.ledger, *plugins.observers()),
        generate=generates.generate,
        transform=lambda request, entry: chain.compose(request, entry.info, entry.spec, models.parsers),
    )
    models.catalog.on_load_failure(limits.queue.refuse)
    kept = Kept(storage.records, storage.files, storage.batches) if config.batches.enabled else Kept(storage.records)
    gateway = LocalGateway(models.catalog, pipeline, embeds.embed, store=models.managed, kept=kept, audit=storage.audit)
    metrics = None
    if config.metrics.enabled:
        metrics = Metrics(models.catalog, pipeline, limits.queue, embeds, storage.batches.tally)
        metrics.add(LedgerState(storage.ledger))
        pipeline.add_observer(metrics)
    return Generation(pipeline, gateway, embeds, generates, metrics)


__all__ = ("Generation", "build_pipeline")

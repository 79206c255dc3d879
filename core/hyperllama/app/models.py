"""The models a caller can use: the catalog, the store on disk beneath it, and the parsers that their tables name."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import msgspec

from hyperllama.app.plugins import Plugins
from hyperllama.catalog.catalog import Catalog
from hyperllama.catalog.stored import CatalogSync
from hyperllama.config import Config
from hyperllama.database.audit import AuditLog
from hyperllama.database.database import Database
from hyperllama.errors import ConfigError
from hyperllama.models import ModelSpec
from hyperllama.modelstore.audited_store import AuditedStore
from hyperllama.modelstore.disk_store import DiskModelStore
from hyperllama.modelstore.hub import Hub
from hyperllama.modelstore.loadtimes import LoadTimes
from hyperllama.modelstore.upload_quota import UploadQuota
from hyperllama.spi import TransformFactory
from hyperllama.system import memory
from hyperllama.text import chain

UNKNOWN_MEMORY = 8 * 2**30  # bytes, where the system does not say what is free
MEMORY_SHARE = 0.8  # of what is free at start, when the config names no budget


class Models(msgspec.Struct, frozen=True):
    """``managed`` is ``store`` with its changes in the audit log. ``skipped``: models of sources, and why not."""

    catalog: Catalog
    store: DiskModelStore
    managed: AuditedStore
    parsers: Mapping[str, TransformFactory]
    skipped: Mapping[str, str]

    def check(self, specs: Iterable[ModelSpec]) -> None:
        """Raise ConfigError for a model whose table names a parser that does not exist."""
        chain.check(specs, self.parsers)


def build_models(config: Config, plugins: Plugins, database: Database, audit: AuditLog) -> Models:
    """Describe the models of the configuration, of the sources and of the store. Read files. Raise ConfigError."""
    hub = Hub(timeout=config.store.hub_timeout)
    store = DiskModelStore(config.store_path / "models", names=config.store.names, hub=hub)
    most = config.store.max_key_bytes
    quota = UploadQuota(database, store.blobs, most) if most is not None else None
    sources = {**plugins.model_sources(), store.source.scheme: store.source}
    catalog = Catalog(
        config.server,
        engines=plugins.engines(),
        sources=sources,
        load_times=LoadTimes(config.store_path / "load-times.json"),
        memory=config.server.memory_budget or int(memory.available(UNKNOWN_MEMORY) * MEMORY_SHARE),
    )
    offered = [spec for source in sources.values() for spec in source.models()]
    catalog.add(config.models.values())
    skipped = _offer(catalog, offered)
    CatalogSync(catalog, store)
    store.refresh()
    models = Models(
        catalog=catalog,
        store=store,
        managed=AuditedStore(store, audit, quota),
        parsers={**chain.parsers(), **plugins.transforms()},
        skipped=skipped,
    )
    models.check(entry.spec for entry in catalog.entries())
    return models


def _offer(catalog: Catalog, offered: Sequence[ModelSpec]) -> dict[str, str]:
    """Add models of sources under names that the configuration does not use. Return the others and why.

    No configuration names these: one that cannot run here, its engine not installed, does not stop the start.
    """
    skipped = {}
    for spec in offered:
        if catalog.knows(spec.name):
            continue
        try:
            catalog.add([spec])
        except ConfigError as error:
            skipped[spec.name] = str(error)
    return skipped


__all__ = ("Models", "build_models")

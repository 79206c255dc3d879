"""The store's models in the catalog, as they are on disk, also those that another process put there."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import msgspec
import structlog

from hyperllama.catalog.catalog import Catalog
from hyperllama.catalog.entry import Entry
from hyperllama.errors import ConfigError, ModelNotFound
from hyperllama.messages import Message, Role, Text
from hyperllama.models import LoadProgress, ModelInfo, ModelSpec
from hyperllama.modelstore.disk_store import DiskModelStore
from hyperllama.modelstore.manifests import Manifest, Stored
from hyperllama.modelstore.model_directories import TEMPLATE, ModelDirectories
from hyperllama.modelstore.names import StoredName
from hyperllama.modelstore.recipe import Base

log = structlog.get_logger(__name__)


class CatalogSync:
    """``hyperllama.modelstore.store_listing.StoreListing`` over a catalog."""

    def __init__(self, catalog: Catalog, store: DiskModelStore) -> None:
        self._catalog = catalog
        self._views = store.views
        self._in_thread = store.in_thread
        self._stored: dict[str, Stored] = {}
        self._offered: dict[str, Entry] = {}  # as they were put; the configuration may have taken the name since
        store.attach(self)

    def fill(self, found: Sequence[Stored]) -> None:
        """Offer the models in ``found`` and no others. Reads files.

        Those that cannot be loaded, or whose names the configuration has, are logged and skipped.
        """
        for name in self._stored.keys() - {stored.name.short for stored in found}:
            self.withdraw(name)
        for stored in found:
            if self._stored.get(stored.name.short) == stored:
                continue
            if self.configured(stored.name.short):
                log.warning("a stored model is hidden by the configuration", model=stored.name.short)
                continue
            try:
                entry = self._catalog.describe(
                    spec_of(stored.name, stored.manifest, stored.digest, self._views), origin=stored.manifest.origin
                )
            except ConfigError as error:
                log.error("a stored model cannot be offered", model=stored.name.short, reason=str(error))
                continue
            except Exception as error:  # noqa: BLE001 - files of a stranger; one model must not hide the others
                log.error("a stored model cannot be offered", model=stored.name.short, reason=type(error).__name__)
                continue
            self._put(entry, stored)

    def configured(self, name: str) -> bool:
        entry = self._find(name)
        return entry is not None and self._stored_as(entry) is None

    def base(self, name: str) -> Base | None:
        entry = self._find(name)
        if entry is None:
            return None
        stored = self._stored_as(entry)
        return Base(entry.spec, entry.info, stored.manifest if stored is not None else None)

    async def fetch(self, name: str) -> None:
        entry = self._catalog.find(name)
        if entry.source is None:
            return
        path = await entry.source.fetch(entry.spec.source.partition(":")[2], _ignore)
        if path != entry.path:
            info = await self._in_thread(lambda: entry.engine.describe(entry.spec, path))
            entry.path, entry.info = path, entry.complete(info)

    async def prepare(self, name: StoredName, manifest: Manifest, digest: str) -> Callable[[Stored], None]:
        spec = spec_of(name, manifest, digest, self._views)
        try:
            entry = await self._in_thread(lambda: self._catalog.describe(spec, origin=manifest.origin))
        except ConfigError:
            raise
        except Exception as error:  # files of a stranger: any field of any type, at any depth
            log.warning("a model's files cannot be understood", model=name.short, reason=type(error).__name__)
            raise ConfigError("The model's files cannot be read; check its config.json.") from error
        return lambda stored: self._put(entry, stored)

    def withdraw(self, name: str) -> None:
        if self._stored.pop(name, None) is not None:
            self._offered.pop(name, None)
            self._catalog.remove(name)

    def _put(self, entry: Entry, stored: Stored) -> None:
        if self._stored.get(entry.spec.name) == stored:
            return  # a look at the store between the writing and this one had it already
        entry.complete = lambda info: with_manifest(info, stored)
        entry.info = entry.complete(entry.info)
        self._stored[entry.spec.name] = stored
        self._offered[entry.spec.name] = entry
        self._catalog.put(entry)

    def _find(self, name: str) -> Entry | None:
        try:
            return self._catalog.find(name)
        except ModelNotFound:
            return None

    def _stored_as(self, entry: Entry) -> Stored | None:
        """Return the stored model of ``entry``; None: a configured model, which may have taken the name since."""
        stored = self._stored.get(entry.spec.name)
        return stored if stored is not None and entry is self._offered.get(entry.spec.name) else None


def spec_of(name: StoredName, manifest: Manifest, digest: str, views: ModelDirectories) -> ModelSpec:
    """Return the model table of a stored model, for the catalog."""
    return msgspec.structs.replace(
        manifest.spec,
        name=name.short,
        aliases=(),
        preload=False,
        source=f"store:{digest}" if manifest.layers else manifest.spec.source,
        template=str(views.path(digest) / TEMPLATE) if manifest.template else None,
    )


def with_manifest(info: ModelInfo, stored: Stored) -> ModelInfo:
    """Return ``info`` with the fields that the manifest knows better than the files.

    A copy of a configured model has the digest of its files, as that one has; one that was made of it has its own.
    """
    manifest = stored.manifest
    return msgspec.structs.replace(
        info,
        digest=stored.digest if manifest.layers or manifest.parent else info.digest or stored.digest,
        modified=stored.modified,
        parent=manifest.parent or info.parent,
        license="\n".join(manifest.license) or info.license,
        extra=manifest.extra,
        messages=tuple(
            Message(role=_role(turn.role), parts=(Text(turn.content),)) for turn in manifest.messages if turn.content
        ),
    )


def _role(text: str) -> Role:
    match text:
        case "system" | "assistant" | "tool":
            return text
    return "user"


def _ignore(_: LoadProgress) -> None:
    """Ignore the progress of a fetch: only its end matters."""


__all__ = ("CatalogSync", "spec_of", "with_manifest")

"""The store as a model source: ``source = "store:<digest of a manifest>"``."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from hyperllama.errors import ConfigError, LoadFailed
from hyperllama.models import ModelSpec
from hyperllama.modelstore.manifests import Manifests
from hyperllama.modelstore.model_directories import ModelDirectories
from hyperllama.spi import Report
from hyperllama.system.executors import Workers


class StoreSource:
    """The source of stored models. It offers none itself: the store lists them in the catalog as they come and go."""

    scheme = "store"

    def __init__(self, manifests: Manifests, views: ModelDirectories, threads: Workers) -> None:
        """Make a source; ``threads`` run its reading and linking of files."""
        self._manifests = manifests
        self._views = views
        self._threads = threads

    def models(self) -> Sequence[ModelSpec]:
        return ()

    def local(self, reference: str) -> Path | None:
        path = self._views.path(reference)
        if path.is_dir():
            return path
        if (made := self._make(reference)) is None:
            raise ConfigError("There is no such model in the store.")
        return made

    async def fetch(self, reference: str, report: Report) -> Path:
        try:
            path = await self._threads.run(lambda: self.local(reference))
        except ConfigError as error:
            raise LoadFailed(str(error)) from error
        if path is None:
            raise LoadFailed("the model was removed from the store")
        return path

    def _make(self, digest: str) -> Path | None:
        for stored in self._manifests.all():
            if stored.digest == digest:
                try:
                    return self._views.make(stored.manifest, digest)
                except OSError as error:
                    raise ConfigError(
                        f"the store's files of {stored.name.short} cannot be laid out: {error}"
                    ) from error
        return None


__all__ = ("StoreSource",)

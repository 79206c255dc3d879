"""The catalog as the model store sees it from below."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from hyperllama.modelstore.manifests import Manifest, Stored
from hyperllama.modelstore.names import StoredName
from hyperllama.modelstore.recipe import Base


class StoreListing(Protocol):
    """Where the store's models are offered: the catalog, seen from below."""

    def fill(self, found: Sequence[Stored]) -> None:
        """Offer these models of the store and no others."""
        ...

    def configured(self, name: str) -> bool:
        """Whether the configuration or a plugin, not the store, has that name."""
        ...

    def base(self, name: str) -> Base | None: ...

    async def fetch(self, name: str) -> None:
        """Bring a configured model's files here."""
        ...

    async def prepare(self, name: StoredName, manifest: Manifest, digest: str) -> Callable[[Stored], None]:
        """What puts the model there, once it is written. Raises ConfigError when no engine could load it."""
        ...

    def withdraw(self, name: str) -> None:
        """Offered no longer; running requests finish."""
        ...


__all__ = ("StoreListing",)

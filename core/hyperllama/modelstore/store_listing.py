"""The catalog as the model store sees it from below."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from hyperllama.modelstore.manifests import Manifest, Stored
from hyperllama.modelstore.names import StoredName
from hyperllama.modelstore.recipe import Base


class StoreListing(Protocol):
    """The part of the catalog that lists the store's models."""

    def fill(self, found: Sequence[Stored]) -> None:
        """Offer these models of the store and no others."""
        ...

    def configured(self, name: str) -> bool:
        """Return True if the name belongs to the configuration or a plugin, not to the store."""
        ...

    def base(self, name: str) -> Base | None: ...

    async def fetch(self, name: str) -> None:
        """Bring a configured model's files here."""
        ...

    async def prepare(self, name: StoredName, manifest: Manifest, digest: str) -> Callable[[Stored], None]:
        """Return a function that lists the model once it is written. Raises ConfigError if no engine could load it."""
        ...

    def withdraw(self, name: str) -> None:
        """Stop offering a model; running requests finish."""
        ...


__all__ = ("StoreListing",)

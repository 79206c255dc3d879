"""Base of the contracts of engines: the engine, the model, and the model loaded for one test."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import ClassVar

import pytest

from hyperllama.models import ModelSpec
from hyperllama.spi import Engine, LoadedModel


class LoadingContract:
    """Override ``engine`` and ``spec``; ``path`` where the model has files."""

    timeout: ClassVar[float] = 60.0  # seconds that anything may take

    @pytest.fixture
    def engine(self) -> Engine:
        raise NotImplementedError("Override the fixture 'engine'.")

    @pytest.fixture
    def spec(self) -> ModelSpec:
        """Return the model's table; requests use its name."""
        raise NotImplementedError("Override the fixture 'spec'.")

    @pytest.fixture
    def path(self) -> Path | None:
        return None

    @asynccontextmanager
    async def loaded(self, engine: Engine, spec: ModelSpec, path: Path | None) -> AsyncIterator[LoadedModel]:
        """Load the model, and close it at the end. Raises TimeoutError when loading takes longer than ``timeout``."""
        async with asyncio.timeout(self.timeout):
            model = await engine.load(spec, path, lambda _progress: None)
        try:
            yield model
        finally:
            await model.close()


__all__ = ("LoadingContract",)

"""Models of the sim engine, loaded and closed."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, TypeAlias

import pytest

from hyperllama.models import ModelSpec
from hyperllama_sim.engine import SimEngine
from hyperllama_sim.model import SimModel

Load: TypeAlias = Callable[..., Awaitable[SimModel]]


@pytest.fixture
async def load() -> AsyncIterator[Load]:
    models: list[SimModel] = []

    async def loaded(*, max_batch_size: int = 16, **options: Any) -> SimModel:
        spec = ModelSpec(name="m", engine="sim", max_batch_size=max_batch_size, options=options)
        model = await SimEngine().load(spec, None, lambda _progress: None)
        assert isinstance(model, SimModel)
        models.append(model)
        return model

    yield loaded
    for model in models:
        await model.close()

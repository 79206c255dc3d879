"""The contract of engines whose models make vectors, as tests. Used like ``EngineContract``."""

from __future__ import annotations

import asyncio
import math
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import ClassVar

import pytest

from hyperllama.embedding import EmbeddingRequest
from hyperllama.errors import ContextTooLong
from hyperllama.models import ModelSpec
from hyperllama.spi import Embeds, Engine
from hyperllama.testing.loading import LoadingContract


@pytest.mark.asyncio
class EmbeddingContract(LoadingContract):
    """Override ``engine`` and ``spec``; ``path`` where the model has files."""

    tolerance: ClassVar[float] = 1e-3  # between vectors made alone and together

    async def test_one_vector_each_and_in_order(self, engine: Engine, spec: ModelSpec, path: Path | None) -> None:
        async with self.embedder(engine, spec, path) as model:
            together = await model.embed(EmbeddingRequest(model=spec.name, inputs=("one", "two", "three")))
            alone = [await model.embed(EmbeddingRequest(model=spec.name, inputs=(text,))) for text in ("one", "two")]
        assert len({len(vector) for vector in together.vectors}) == 1
        assert len(together.vectors) == 3
        for vector, single in zip(together.vectors, alone, strict=False):
            assert _floats(vector) == pytest.approx(_floats(single.vectors[0]), abs=self.tolerance)
        assert together.vectors[0] != together.vectors[1]
        assert together.prompt_tokens > alone[0].prompt_tokens > 0

    async def test_normalised_vectors_have_length_one(self, engine: Engine, spec: ModelSpec, path: Path | None) -> None:
        async with self.embedder(engine, spec, path) as model:
            made = await model.embed(EmbeddingRequest(model=spec.name, inputs=("one", "two")))
        assert [math.hypot(*_floats(vector)) for vector in made.vectors] == pytest.approx([1.0, 1.0], abs=1e-3)

    async def test_fewer_dimensions_are_cut_and_normalised_again(
        self, engine: Engine, spec: ModelSpec, path: Path | None
    ) -> None:
        async with self.embedder(engine, spec, path) as model:
            whole = await model.embed(EmbeddingRequest(model=spec.name, inputs=("one",)))
            cut = await model.embed(EmbeddingRequest(model=spec.name, inputs=("one",), dimensions=4))
        first = _floats(whole.vectors[0])[:4]
        scale = math.hypot(*first)
        expected = [value / scale for value in first]
        assert _floats(cut.vectors[0]) == pytest.approx(expected, abs=self.tolerance)

    async def test_an_input_over_the_context_is_cut_or_refused_as_asked(
        self, engine: Engine, spec: ModelSpec, path: Path | None
    ) -> None:
        async with self.embedder(engine, spec, path) as model:
            long = "word " * (engine.describe(spec, path).context_length + 8)
            made = await model.embed(EmbeddingRequest(model=spec.name, inputs=(long,)))
            assert len(made.vectors) == 1
            with pytest.raises(ContextTooLong):
                await model.embed(EmbeddingRequest(model=spec.name, inputs=("ok", long), truncate=False))

    @asynccontextmanager
    async def embedder(self, engine: Engine, spec: ModelSpec, path: Path | None) -> AsyncIterator[Embeds]:
        """Load the model; the block takes no longer than ``timeout``."""
        async with self.loaded(engine, spec, path) as model:
            assert isinstance(model, Embeds)
            assert "embedding" in model.info.capabilities
            async with asyncio.timeout(self.timeout):
                yield model


def _floats(vector: bytes) -> list[float]:
    return list(struct.unpack(f"<{len(vector) // 4}f", vector))


__all__ = ("EmbeddingContract",)

"""The contract of engines that run whole batches, as tests. Used like ``EngineContract``, and beside it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import ClassVar

import pytest

from hyperllama.errors import ContextTooLong, GatewayError, InvalidRequest
from hyperllama.generation import GenerationRequest, Sampling
from hyperllama.messages import Prompt
from hyperllama.models import ModelSpec
from hyperllama.spi import Engine, GeneratesBatches, LoadedModel
from hyperllama.stream import collect
from hyperllama.testing.loading import LoadingContract


@pytest.mark.asyncio
class BatchContract(LoadingContract):
    """Override ``engine`` and ``spec``, with a ``max_batch_size`` of at least 3; ``path`` where the model has files."""

    tokens: ClassVar[int] = 8  # of the answers; the model must not end before

    async def test_a_batch_answers_each_as_it_would_alone(
        self, engine: Engine, spec: ModelSpec, path: Path | None
    ) -> None:
        requests = [self.request(spec, text) for text in ("one", "two", "three")]
        async with self.loaded(engine, spec, path) as model:
            assert isinstance(model, GeneratesBatches)
            together = await asyncio.gather(*map(collect, await model.generate_batch(requests)))
            alone = [await collect(await model.generate(request)) for request in requests]
        assert [answer.text for answer in together] == [answer.text for answer in alone]
        assert [answer.usage for answer in together] == [answer.usage for answer in alone]

    async def test_closing_one_stream_ends_it_alone(self, engine: Engine, spec: ModelSpec, path: Path | None) -> None:
        async with self.loaded(engine, spec, path) as model:
            assert isinstance(model, GeneratesBatches)
            first, second = await model.generate_batch([self.request(spec, text) for text in ("one", "two")])
            await first.aclose()
            answer = await collect(second)
            assert answer.usage.completion_tokens == self.tokens
            (again,) = await model.generate_batch([self.request(spec, "one")])
            assert (await collect(again)).usage.completion_tokens == self.tokens

    async def test_one_at_fault_refuses_the_batch_and_leaves_nothing_running(
        self, engine: Engine, spec: ModelSpec, path: Path | None
    ) -> None:
        async with self.loaded(engine, spec, path) as model:
            assert isinstance(model, GeneratesBatches)
            long = "word " * (model.info.context_length + 8)
            good = self.request(spec, "one")
            with pytest.raises(InvalidRequest):
                await model.generate_batch([good, self.request(spec, long)])
            with pytest.raises(ContextTooLong):
                await model.generate_batch([self.request(spec, long)])
            full = [self.request(spec, str(number)) for number in range(model.info.max_batch_size)]
            answers = await asyncio.gather(*map(collect, await model.generate_batch(full)))
            assert [answer.usage.completion_tokens for answer in answers] == [self.tokens] * len(full)

    async def test_unloading_fails_the_streams_of_a_batch(
        self, engine: Engine, spec: ModelSpec, path: Path | None
    ) -> None:
        async with self.loaded(engine, spec, path) as model:
            assert isinstance(model, GeneratesBatches)
            streams = await model.generate_batch([self.request(spec, "one"), self.request(spec, "two")])
            await model.close()
            for stream in streams:
                with pytest.raises(GatewayError):
                    await collect(stream)

    def request(self, spec: ModelSpec, text: str) -> GenerationRequest:
        sampling = Sampling(max_tokens=self.tokens, temperature=0.0, ignore_eos=True)
        return GenerationRequest(model=spec.name, input=Prompt(text), sampling=sampling)

    @asynccontextmanager
    async def loaded(self, engine: Engine, spec: ModelSpec, path: Path | None) -> AsyncIterator[LoadedModel]:
        """Load the model as the base does; the block, too, takes no longer than ``timeout``."""
        async with super().loaded(engine, spec, path) as model, asyncio.timeout(self.timeout):
            yield model


__all__ = ("BatchContract",)

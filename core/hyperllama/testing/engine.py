"""The contract of engines, as tests: subclass, provide the engine, run pytest.

::

    class TestMine(EngineContract):
        @pytest.fixture
        def engine(self):
            return MyEngine()

        @pytest.fixture
        def spec(self):
            return ModelSpec(name="small", engine="mine", max_batch_size=2)

Needs pytest-asyncio. Each test loads the model anew and closes it.
"""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import ClassVar

import pytest

from hyperllama.errors import ContextTooLong, GatewayError
from hyperllama.generation import Completion, GenerationRequest, Sampling, TokenChunk
from hyperllama.messages import Prompt
from hyperllama.models import LoadProgress, ModelSpec
from hyperllama.spi import Engine, LoadedModel, Tokenizes
from hyperllama.stream import TokenStream, collect
from hyperllama.testing.loading import LoadingContract


@pytest.mark.asyncio
class EngineContract(LoadingContract):
    """Override ``engine`` and ``spec``; ``path`` where the model has files.

    A small ``max_batch_size`` makes the tests of places quick.
    """

    prompt: ClassVar[str] = "Once upon a time"
    tokens: ClassVar[int] = 8  # of the answers; the model must not end before

    async def test_loading_reports_and_ends_ready_to_serve(
        self, engine: Engine, spec: ModelSpec, path: Path | None
    ) -> None:
        described = engine.describe(spec, path)
        reports: list[LoadProgress] = []
        async with asyncio.timeout(self.timeout):
            model = await engine.load(spec, path, reports.append)
        try:
            assert described.name == model.info.name == spec.name
            assert described.engine == engine.name
            assert described.capabilities == model.info.capabilities
            assert described.context_length == model.info.context_length > 0
            assert model.failure is None
            assert all(number >= 0 for number in model.memory())
            assert reports, "a load reports its progress at least once"
        finally:
            await model.close()

    async def test_an_answer_streams_and_ends_once_with_its_figures(
        self, engine: Engine, spec: ModelSpec, path: Path | None
    ) -> None:
        async with self.loaded(engine, spec, path) as model:
            stream = await model.generate(self.request(spec))
            chunks = await self.read(stream)
            assert await stream.batch() == (), "after the last chunk there is nothing"
            await stream.aclose()
        assert len(chunks) > 1, "the answer came in one piece"
        assert [chunk.finish_reason is not None for chunk in chunks] == [False] * (len(chunks) - 1) + [True]
        first, last = chunks[0].usage, chunks[-1].usage
        assert last is not None, "the last chunk carries the usage"
        assert last.completion_tokens == sum(chunk.tokens for chunk in chunks)
        assert first is not None, "the first chunk carries the prompt's figures"
        assert first.prompt_tokens == last.prompt_tokens > 0

    async def test_the_token_limit_is_kept_and_named(self, engine: Engine, spec: ModelSpec, path: Path | None) -> None:
        async with self.loaded(engine, spec, path) as model:
            answer = await self.answer(model, self.request(spec, tokens=3))
        assert answer.usage.completion_tokens == 3
        assert answer.finish_reason == "length"

    async def test_a_prompt_over_the_context_is_refused_before_it_streams(
        self, engine: Engine, spec: ModelSpec, path: Path | None
    ) -> None:
        async with self.loaded(engine, spec, path) as model:
            text = " ".join(f"{number}" for number in range(model.info.context_length + 1))
            with pytest.raises(ContextTooLong) as refusal:
                await model.generate(GenerationRequest(model=spec.name, input=Prompt(text)))
            assert str(model.info.context_length) in refusal.value.message, "the sentence names the context's length"
            await self.answer(model, self.request(spec))

    async def test_closing_before_the_first_token_gives_the_place_back(
        self, engine: Engine, spec: ModelSpec, path: Path | None
    ) -> None:
        async with self.loaded(engine, spec, path) as model:
            for _ in range(2):
                streams = [await model.generate(self.endless(model, spec)) for _ in range(model.info.max_batch_size)]
                for stream in streams:
                    await stream.aclose()
                    await stream.aclose()
            await self.answer(model, self.request(spec))

    async def test_leaving_midway_gives_the_place_back(
        self, engine: Engine, spec: ModelSpec, path: Path | None
    ) -> None:
        async with self.loaded(engine, spec, path) as model:
            streams = [await model.generate(self.endless(model, spec)) for _ in range(model.info.max_batch_size)]
            async with asyncio.timeout(self.timeout):
                for stream in streams:
                    await anext(stream)
            for stream in streams:
                await stream.aclose()
            await self.answer(model, self.request(spec))

    async def test_giving_up_while_waiting_for_admission_leaves_nothing_behind(
        self, engine: Engine, spec: ModelSpec, path: Path | None
    ) -> None:
        async with self.loaded(engine, spec, path) as model:
            for turns in range(4):
                tasks = [
                    asyncio.ensure_future(model.generate(self.endless(model, spec)))
                    for _ in range(model.info.max_batch_size)
                ]
                for _ in range(turns):
                    await asyncio.sleep(0)
                for task in tasks:
                    task.cancel()
                for result in await asyncio.gather(*tasks, return_exceptions=True):
                    if isinstance(result, TokenStream):  # it was admitted before
                        await result.aclose()
            await self.answer(model, self.request(spec))

    async def test_more_requests_than_places_are_all_answered_as_if_alone(
        self, engine: Engine, spec: ModelSpec, path: Path | None
    ) -> None:
        async with self.loaded(engine, spec, path) as model:
            count = min(2 * model.info.max_batch_size, 32)
            requests = [self.request(spec, f"{self.prompt}, {number}") for number in range(count)]
            together = await asyncio.gather(*(self.answer(model, request) for request in requests))
            alone = [await self.answer(model, request) for request in requests]
        assert [answer.text for answer in together] == [answer.text for answer in alone]

    async def test_token_ids_come_when_asked_for(self, engine: Engine, spec: ModelSpec, path: Path | None) -> None:
        async with self.loaded(engine, spec, path) as model:
            answer = await self.answer(model, self.request(spec, ids=True))
            assert len(answer.token_ids) == answer.usage.completion_tokens
            assert len(answer.prompt_token_ids) == answer.usage.prompt_tokens
            if isinstance(model, Tokenizes):
                assert await model.tokenize(Prompt(self.prompt)) == answer.prompt_token_ids
                assert self.prompt in await model.detokenize(answer.prompt_token_ids)

    async def test_log_probabilities_spell_the_text(self, engine: Engine, spec: ModelSpec, path: Path | None) -> None:
        if "logprobs" not in engine.describe(spec, path).capabilities:
            pytest.skip("the model gives no log probabilities")
        async with self.loaded(engine, spec, path) as model:
            answer = await self.answer(model, self.request(spec, logprobs=2))
        assert b"".join(item.bytes for item in answer.logprobs).decode(errors="replace") == answer.text
        assert all(item.logprob <= 0 and len(item.top) == 2 for item in answer.logprobs)

    async def test_unloading_fails_what_runs_and_refuses_what_comes(
        self, engine: Engine, spec: ModelSpec, path: Path | None
    ) -> None:
        async with self.loaded(engine, spec, path) as model:
            stream = await model.generate(self.endless(model, spec))
            async with asyncio.timeout(self.timeout):
                await model.close()
                await model.close()
                with pytest.raises(GatewayError):
                    await self.read(stream)
            await stream.aclose()
            with pytest.raises(GatewayError):
                await model.generate(self.request(spec))

    async def test_a_model_can_be_loaded_again(self, engine: Engine, spec: ModelSpec, path: Path | None) -> None:
        texts = []
        for _ in range(2):
            async with self.loaded(engine, spec, path) as model:
                texts.append((await self.answer(model, self.request(spec))).text)
        assert texts[0] == texts[1]

    def request(
        self,
        spec: ModelSpec,
        text: str | None = None,
        *,
        tokens: int | None = None,
        ids: bool = False,
        logprobs: int | None = None,
    ) -> GenerationRequest:
        """Return a greedy request for exactly ``tokens`` tokens."""
        limit = self.tokens if tokens is None else tokens
        sampling = Sampling(temperature=0.0, max_tokens=limit, ignore_eos=True, logprobs=logprobs)
        return GenerationRequest(
            model=spec.name,
            input=Prompt(self.prompt if text is None else text),
            sampling=sampling,
            return_token_ids=ids,
        )

    def endless(self, model: LoadedModel, spec: ModelSpec) -> GenerationRequest:
        """Return a request that outlasts a test: for half the context."""
        return self.request(spec, tokens=model.info.context_length // 2)

    async def read(self, stream: TokenStream) -> list[TokenChunk]:
        found: list[TokenChunk] = []
        async with asyncio.timeout(self.timeout):
            while chunks := await stream.batch():
                found.extend(chunks)
        return found

    async def answer(self, model: LoadedModel, request: GenerationRequest) -> Completion:
        async with asyncio.timeout(self.timeout):
            return await collect(await model.generate(request))


__all__ = ("EngineContract",)

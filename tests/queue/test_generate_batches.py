from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from hyperllama.app.application import create_app
from hyperllama.config import Config, Queue, Store
from hyperllama.errors import ContextTooLong, EngineFailed
from hyperllama.generation import GenerationRequest, TokenChunk, Usage
from hyperllama.identity import LOCAL, Caller
from hyperllama.messages import Prompt
from hyperllama.models import ModelInfo, ModelSpec
from hyperllama.queue.generate_batches import GenerateBatcher
from hyperllama.stream import ChunkQueue, TokenStream, collect
from hyperllama.testing.batches import BatchContract
from hyperllama.testing.engine import EngineContract
from hyperllama_sim.engine import SimEngine
from hyperllama_sim.static import StaticSimModel

SPEC = ModelSpec(name="static", engine="sim", max_batch_size=4, options={"batching": "static"})


class TestStaticSim(BatchContract):
    @pytest.fixture
    def engine(self) -> SimEngine:
        return SimEngine()

    @pytest.fixture
    def spec(self) -> ModelSpec:
        return SPEC


class TestStaticSimAsAnyEngine(EngineContract):
    @pytest.fixture
    def engine(self) -> SimEngine:
        return SimEngine()

    @pytest.fixture
    def spec(self) -> ModelSpec:
        return SPEC


class Model:
    """Says what it was asked, and answers when told to. One batch beside another is a mistake."""

    def __init__(self, places: int = 4) -> None:
        self.info = ModelInfo(name="m", engine="x", capabilities=frozenset(), context_length=64, max_batch_size=places)
        self.batches: list[list[str]] = []
        self.queues: list[ChunkQueue] = []
        self.running = 0
        self.short = False

    async def generate_batch(self, requests: Sequence[GenerationRequest]) -> Sequence[TokenStream]:
        texts = [request.input.text for request in requests]
        self.batches.append(texts)
        if "too long" in texts:
            raise ContextTooLong("too long")
        assert not self.running, "a batch beside another"
        streams = []
        for _ in requests[: len(requests) - self.short]:
            queue = ChunkQueue()
            self.running += 1
            streams.append(TokenStream(queue, self._closed))
            self.queues.append(queue)
        return streams

    async def generate(self, request: GenerationRequest) -> TokenStream:
        raise AssertionError("the core gathers")

    async def _closed(self) -> None:
        self.running -= 1

    def finish(self) -> None:
        queues, self.queues = self.queues, []
        for number, queue in enumerate(queue for queue in queues if not queue.ended):
            queue.put(TokenChunk(text=str(number), finish_reason="stop", usage=Usage(1, 1)))


def ask(text: str) -> GenerationRequest:
    return GenerationRequest(model="m", input=Prompt(text))


async def answered(batcher: GenerateBatcher, model: Any, text: str) -> str:
    return (await collect(await batcher.generate(model, ask(text)))).text


async def settle() -> None:
    for _ in range(10):
        await asyncio.sleep(0)


async def test_a_lone_client_waits_for_nobody_and_those_behind_it_go_together() -> None:
    model: Any = Model()
    batcher = GenerateBatcher(Queue(generate_max_delay=0.0))
    tasks = [asyncio.create_task(answered(batcher, model, text)) for text in "abcd"]
    await settle()
    assert model.batches == [["a"]]
    model.finish()
    await settle()
    assert model.batches == [["a"], ["b", "c", "d"]]
    model.finish()
    assert await asyncio.gather(*tasks) == ["0", "0", "1", "2"]


async def test_no_batch_is_larger_than_the_engines_or_runs_beside_another() -> None:
    model, batcher = Model(places=2), GenerateBatcher(Queue(generate_max_delay=0.0))
    tasks = [asyncio.create_task(answered(batcher, model, text)) for text in "abcdef"]
    while not all(task.done() for task in tasks):
        await settle()
        model.finish()
    assert [len(batch) for batch in model.batches] == [1, 2, 2, 1]


async def test_clients_who_come_back_are_waited_for_as_long_as_that_pays() -> None:
    now = [0.0]
    model: Any = Model()
    batcher = GenerateBatcher(Queue(generate_max_delay=1.0), clock=lambda: now[0])

    async def client(name: str) -> None:
        for turn in range(3):
            await answered(batcher, model, f"{name}{turn}")

    tasks = [asyncio.create_task(client(name)) for name in "abcd"]
    while not all(task.done() for task in tasks):
        await settle()
        now[0] += 40.0  # so that a quarter of a batch's length is more than the longest delay
        model.finish()
    assert [len(batch) for batch in model.batches][:3] == [1, 4, 4]  # the first client, too


async def test_a_client_that_leaves_takes_nobody_with_it() -> None:
    model: Any = Model()
    batcher = GenerateBatcher(Queue(generate_max_delay=0.0))
    first, second, third = (asyncio.create_task(answered(batcher, model, text)) for text in "abc")
    await settle()
    second.cancel()
    await settle()
    model.finish()
    await settle()
    assert model.batches == [["a"], ["c"]]
    third.cancel()
    await settle()
    assert model.running == 0
    assert await first == "0"
    with pytest.raises(asyncio.CancelledError):
        await third
    last = asyncio.create_task(answered(batcher, model, "d"))
    await settle()
    model.finish()
    assert await last == "0"


async def test_a_stream_that_nobody_takes_is_closed() -> None:
    model: Any = Model()
    batcher = GenerateBatcher(Queue(generate_max_delay=0.0))
    task = asyncio.create_task(batcher.generate(model, ask("a")))
    while not model.running:  # noqa: ASYNC110 - no event says what the test needs: the very turn of the loop
        await asyncio.sleep(0)
    task.cancel()  # its answer has just been given
    await asyncio.wait([task])
    await settle()
    assert task.cancelled()
    assert model.running == 0


async def test_one_clients_mistake_is_no_others_error() -> None:
    model: Any = Model()
    batcher = GenerateBatcher(Queue(generate_max_delay=0.0))
    tasks = [asyncio.create_task(answered(batcher, model, text)) for text in ("a", "b", "too long", "c")]
    while not all(task.done() for task in tasks):
        await settle()
        model.finish()
    results = await asyncio.gather(*tasks, return_exceptions=True)
    assert [isinstance(result, ContextTooLong) for result in results] == [False, False, True, False]


async def test_an_engine_that_begins_too_few_answers_fails_them_all_and_keeps_none() -> None:
    model: Any = Model()
    batcher = GenerateBatcher(Queue())
    model.short = True
    with pytest.raises(EngineFailed):
        await batcher.generate(model, ask("a"))
    assert model.running == 0


async def test_the_whole_gateway_gathers_clients_of_such_an_engine(tmp_path: Path) -> None:
    spec = ModelSpec(
        name="sim", engine="sim", max_batch_size=8, options={"batching": "static", "tokens_per_second": 200}
    )
    app = create_app(Config(models={"sim": spec}, store=Store(path=str(tmp_path))))
    caller = Caller(protocol="test", principal=LOCAL, request_id="r")

    async def client(name: int) -> None:
        for turn in range(3):
            request = GenerationRequest(model="sim", input=Prompt(f"{name} {turn}"))
            assert (await collect(await app.gateway.generate(request, caller))).usage.completion_tokens > 0

    async with app._lifespan(app.web.litestar):
        lease = await app.catalog.acquire(app.catalog.find("sim"))
        model = lease.model
        assert isinstance(model, StaticSimModel)
        await asyncio.gather(*(client(name) for name in range(8)))
        lease.release()
    assert sum(model.batches) == 24
    assert len(model.batches) <= 8
    assert app.pipeline.live == 0

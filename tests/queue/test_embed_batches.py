from __future__ import annotations

import asyncio
import struct
from typing import Any

import pytest

from hyperllama.config import Queue
from hyperllama.embedding import EmbeddingRequest, Embeddings
from hyperllama.errors import ContextTooLong, EngineFailed
from hyperllama.queue.embed_batches import EmbedBatcher


class Model:
    """Counts its calls; each waits for ``gate``. A vector holds its text's length."""

    def __init__(self, *, by_input: bool = True) -> None:
        self.calls: list[tuple[Any, ...]] = []
        self.gate = asyncio.Event()
        self.gate.set()
        self.error: Exception | None = None
        self.cancelled = 0
        self.by_input = by_input

    async def embed(self, request: EmbeddingRequest) -> Embeddings:
        self.calls.append(request.inputs)
        try:
            await self.gate.wait()
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        if self.error is not None:
            raise self.error
        if any(text == "too long" for text in request.inputs):
            raise ContextTooLong("an input is too long", param="input")
        counts = tuple(len(text) for text in request.inputs)
        vectors = tuple(struct.pack("<f", count) for count in counts)
        return Embeddings(vectors, sum(counts), input_tokens=counts if self.by_input else ())


def ask(*inputs: str, **flags: Any) -> EmbeddingRequest:
    return EmbeddingRequest(model="m", inputs=inputs, **flags)


async def settle() -> None:
    for _ in range(10):
        await asyncio.sleep(0)


async def test_a_lone_client_waits_for_nobody() -> None:
    model, batcher = Model(), EmbedBatcher(Queue(embed_max_delay=1.0))
    for number in range(20):
        coroutine = batcher.embed(model, ask("x" * (number + 1)))
        with pytest.raises(StopIteration) as done:
            coroutine.send(None)  # no await that waits
        assert done.value.value.prompt_tokens == number + 1
    assert len(model.calls) == 20


async def test_what_comes_during_a_call_goes_together_in_the_next() -> None:
    model, batcher = Model(), EmbedBatcher(Queue(embed_max_delay=0.0))
    model.gate.clear()
    tasks = [asyncio.create_task(batcher.embed(model, ask("x" * n))) for n in range(1, 11)]
    await settle()
    assert model.calls == [("x",)]
    model.gate.set()
    answers = await asyncio.gather(*tasks)
    assert len(model.calls) == 2
    assert [struct.unpack("<f", answer.vectors[0])[0] for answer in answers] == list(range(1, 11))
    assert [answer.prompt_tokens for answer in answers] == list(range(1, 11))


async def test_a_full_batch_goes_at_once_and_none_is_larger() -> None:
    model, batcher = Model(), EmbedBatcher(Queue(embed_max_inputs=4, embed_max_delay=0.0))
    model.gate.clear()
    tasks = [asyncio.create_task(batcher.embed(model, ask("x"))) for _ in range(11)]
    await settle()
    assert [len(call) for call in model.calls] == [1, 4, 4]
    model.gate.set()
    await asyncio.gather(*tasks)
    assert [len(call) for call in model.calls] == [1, 4, 4, 2]


async def test_different_flags_and_models_never_meet() -> None:
    one, two, batcher = Model(), Model(), EmbedBatcher(Queue(embed_max_delay=0.0))
    one.gate.clear()
    two.gate.clear()
    requests = [(one, ask("a")), (one, ask("b", normalize=False)), (one, ask("c", dimensions=8)), (two, ask("d"))]
    tasks = [asyncio.create_task(batcher.embed(*request)) for request in requests]
    await settle()
    assert len(one.calls) == 3
    assert len(two.calls) == 1
    one.gate.set()
    two.gate.set()
    await asyncio.gather(*tasks)


async def test_one_clients_bad_input_is_no_others_error() -> None:
    model, batcher = Model(), EmbedBatcher(Queue(embed_max_delay=0.0))
    model.gate.clear()
    first = asyncio.create_task(batcher.embed(model, ask("x")))
    await settle()
    good = [asyncio.create_task(batcher.embed(model, ask("good"))) for _ in range(3)]
    bad = asyncio.create_task(batcher.embed(model, ask("too long")))
    await settle()
    model.gate.set()
    await first
    assert [answer.prompt_tokens for answer in await asyncio.gather(*good)] == [4, 4, 4]
    with pytest.raises(ContextTooLong):
        await bad


async def test_an_engine_that_breaks_is_everybodys_error_and_the_next_call_is_tried() -> None:
    model, batcher = Model(), EmbedBatcher(Queue(embed_max_delay=0.0))
    model.gate.clear()
    tasks = [asyncio.create_task(batcher.embed(model, ask("x"))) for _ in range(4)]
    await settle()
    model.error = RuntimeError("broken")
    model.gate.set()
    errors = await asyncio.gather(*tasks, return_exceptions=True)
    assert isinstance(errors[0], RuntimeError)
    assert all(isinstance(error, EngineFailed) for error in errors[1:])
    model.error = None
    assert (await batcher.embed(model, ask("xy"))).prompt_tokens == 2


async def test_one_who_leaves_before_the_batch_goes_is_not_in_it_and_the_others_are_served() -> None:
    model, batcher = Model(), EmbedBatcher(Queue(embed_max_delay=0.0))
    model.gate.clear()
    first = asyncio.create_task(batcher.embed(model, ask("first")))
    await settle()
    leaver = asyncio.create_task(batcher.embed(model, ask("leaver")))
    stayer = asyncio.create_task(batcher.embed(model, ask("stayer")))
    await settle()
    leaver.cancel()
    await settle()
    model.gate.set()
    assert (await stayer).prompt_tokens == 6
    await first
    assert model.calls == [("first",), ("stayer",)]


async def test_a_batch_whose_clients_have_all_left_is_cancelled() -> None:
    model, batcher = Model(), EmbedBatcher(Queue(embed_max_inputs=2, embed_max_delay=0.0))
    model.gate.clear()
    tasks = [asyncio.create_task(batcher.embed(model, ask("x"))) for _ in range(3)]
    await settle()
    assert [len(call) for call in model.calls] == [1, 2]
    tasks[1].cancel()
    await settle()
    assert model.cancelled == 0
    tasks[2].cancel()
    await settle()
    assert model.cancelled == 1
    model.gate.set()
    await tasks[0]


async def test_clients_in_a_loop_end_up_in_one_batch() -> None:
    """Whoever was just served is waited for, a little, as long as it comes back."""

    class Slow(Model):
        async def embed(self, request: EmbeddingRequest) -> Embeddings:
            await asyncio.sleep(0.01)
            return await super().embed(request)

    model, batcher = Slow(), EmbedBatcher(Queue(embed_max_inputs=64, embed_max_delay=0.5))

    async def client() -> None:
        for _ in range(10):
            await batcher.embed(model, ask("x"))

    await asyncio.gather(*(client() for _ in range(16)))
    assert sum(len(call) for call in model.calls) == 160
    assert len(model.calls) <= 16  # two cohorts that never met would be 20 calls and more


async def test_tokens_are_shared_out_exactly_when_the_engine_only_knows_their_sum() -> None:
    model, batcher = Model(by_input=False), EmbedBatcher(Queue(embed_max_delay=0.0))
    model.gate.clear()
    tasks = [asyncio.create_task(batcher.embed(model, ask("x" * 7 * n, "y"))) for n in range(1, 8)]
    await settle()
    model.gate.set()
    answers = await asyncio.gather(*tasks)
    assert sum(answer.prompt_tokens for answer in answers[1:]) == sum(7 * n + 1 for n in range(2, 8))
    assert all(len(answer.vectors) == 2 for answer in answers)


async def test_without_batching_every_call_goes_by_itself() -> None:
    model, batcher = Model(), EmbedBatcher(Queue(embed_batching=False))
    model.gate.clear()
    tasks = [asyncio.create_task(batcher.embed(model, ask("x"))) for _ in range(5)]
    await settle()
    assert len(model.calls) == 5
    model.gate.set()
    await asyncio.gather(*tasks)

"""The sim model's batch: places, pace and order."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from hyperllama.generation import GenerationRequest, Sampling
from hyperllama.messages import Prompt
from hyperllama.stream import TokenStream, collect
from hyperllama_sim.model import SimModel

Load = Callable[..., Awaitable[SimModel]]


def endless(text: str = "go on") -> GenerationRequest:
    return GenerationRequest(model="m", input=Prompt(text), sampling=Sampling(ignore_eos=True))


async def read(stream: TokenStream, count: int) -> None:
    for _ in range(count):
        await anext(stream)


async def test_requests_share_steps(load: Load) -> None:
    model = await load(max_batch_size=8)
    results = await asyncio.gather(
        *[collect(await model.generate(GenerationRequest(model="m", input=Prompt(str(number))))) for number in range(8)]
    )
    assert model.batch.largest == 8
    assert model.batch.tokens == sum(result.usage.completion_tokens for result in results)


async def test_no_more_run_than_there_are_places_and_the_next_in_line_follows(load: Load) -> None:
    model = await load(max_batch_size=2)
    streams = [await model.generate(endless(str(number))) for number in range(5)]
    await read(streams[0], 3)
    assert (model.batch.running, model.batch.waiting, model.batch.largest) == (2, 3, 2)
    await streams[1].aclose()
    assert (model.batch.running, model.batch.waiting) == (2, 2)
    await read(streams[2], 1)  # it was the first in line
    for stream in streams:
        await stream.aclose()
    assert (model.batch.running, model.batch.waiting) == (0, 0)


async def test_leaving_before_the_first_token_gives_the_place_back(load: Load) -> None:
    model = await load(max_batch_size=1, ttft_ms=60_000)
    first, second = await model.generate(endless()), await model.generate(endless())
    await first.aclose()
    await first.aclose()
    assert (model.batch.running, model.batch.waiting, model.batch.cancelled) == (1, 0, 1)
    await second.aclose()
    assert model.batch.tokens == 0


async def test_a_queued_request_that_is_closed_is_never_run(load: Load) -> None:
    model = await load(max_batch_size=1)
    running, queued = await model.generate(endless()), await model.generate(endless())
    await queued.aclose()
    await read(running, 5)
    await running.aclose()
    assert (model.batch.largest, model.batch.cancelled, model.batch.waiting) == (1, 2, 0)


async def test_nothing_is_made_after_a_close(load: Load) -> None:
    model = await load()
    stream = await model.generate(endless())
    await read(stream, 3)
    await stream.aclose()
    made = model.batch.tokens
    for _ in range(10):
        await asyncio.sleep(0)
    assert model.batch.tokens == made


async def test_streams_keep_the_pace_that_was_set(load: Load) -> None:
    model = await load(tokens_per_second=1000)
    loop = asyncio.get_running_loop()
    begun = loop.time()
    await asyncio.gather(
        *[collect(await model.generate(GenerationRequest(model="m", input=Prompt(str(number))))) for number in range(4)]
    )
    assert loop.time() - begun >= 0.030  # 31 steps of a millisecond after the first


async def test_the_first_token_takes_its_time_and_the_prompt_too(load: Load) -> None:
    model = await load(ttft_ms=20, prefill_tokens_per_second=1000)
    loop = asyncio.get_running_loop()
    begun = loop.time()
    stream = await model.generate(GenerationRequest(model="m", input=Prompt("a " * 20)))
    await anext(stream)
    assert loop.time() - begun >= 0.035
    await stream.aclose()


async def test_a_late_arrival_does_not_wait_for_a_slow_prompt(load: Load) -> None:
    model = await load(prefill_tokens_per_second=10)
    slow = await model.generate(endless("a " * 500))  # a hundred seconds
    quick = await model.generate(GenerationRequest(model="m", input=Prompt("")))
    assert (await asyncio.wait_for(collect(quick), 30)).finish_reason == "stop"
    await slow.aclose()

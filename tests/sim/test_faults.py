"""Faults on demand: each strikes whom it should, and nobody else."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from hyperllama.errors import ConfigError, EngineFailed, LoadFailed
from hyperllama.generation import GenerationRequest, Sampling, TokenChunk
from hyperllama.messages import Prompt
from hyperllama.models import LoadProgress, ModelSpec
from hyperllama.stream import TokenStream, collect
from hyperllama_sim.engine import SimEngine
from hyperllama_sim.model import SimModel

Load = Callable[..., Awaitable[SimModel]]


def request(text: str = "hello") -> GenerationRequest:
    return GenerationRequest(model="m", input=Prompt(text), sampling=Sampling(ignore_eos=True, max_tokens=40))


async def read(stream: TokenStream) -> tuple[list[TokenChunk], Exception | None]:
    got: list[TokenChunk] = []
    try:
        while chunks := await stream.batch():
            got.extend(chunks)
    except Exception as error:  # noqa: BLE001 - what was raised is the result
        return got, error
    finally:
        await stream.aclose()
    return got, None


@pytest.mark.parametrize("token", [0, 1, 39])
async def test_a_crash_ends_every_stream_and_says_so_once(load: Load, token: int) -> None:
    model = await load(crash_at_token=token)
    told: list[str] = []
    model.watch(told.append)
    streams = [await model.generate(request(str(number))) for number in range(3)]
    for got, error in await asyncio.gather(*map(read, streams)):
        assert len(got) <= token + 1
        assert isinstance(error, EngineFailed)
    assert told == [model.failure]
    assert (model.batch.running, model.batch.waiting) == (0, 0)
    with pytest.raises(EngineFailed, match="cannot serve"):
        await model.generate(request())


async def test_a_crash_ends_those_who_wait_in_line_too(load: Load) -> None:
    model = await load(crash_at_token=2, max_batch_size=1)
    streams = [await model.generate(request()), await model.generate(request())]
    (first, _), (second, error) = await asyncio.gather(*map(read, streams))
    assert (len(first), len(second)) == (2, 0)
    assert isinstance(error, EngineFailed)


@pytest.mark.parametrize(("fault", "kind"), [("error_at_token", EngineFailed), ("bug_at_token", RuntimeError)])
async def test_an_error_strikes_its_own_request_alone(load: Load, fault: str, kind: type[Exception]) -> None:
    model = await load(fault_prompt="bad", **{fault: 5})
    streams = [await model.generate(request(text)) for text in ("bad", "good")]
    (bad, error), (good, none) = await asyncio.gather(*map(read, streams))
    assert (len(bad), type(error)) == (5, kind)
    assert (len(good), none) == (40, None)
    assert (model.failure, model.batch.running) == (None, 0)


async def test_an_error_makes_room_for_the_next_in_line(load: Load) -> None:
    model = await load(error_at_token=0, fault_prompt="bad", max_batch_size=1)
    streams = [await model.generate(request(text)) for text in ("bad", "good")]
    (_, error), (good, none) = await asyncio.gather(*map(read, streams))
    assert isinstance(error, EngineFailed)
    assert (len(good), none) == (40, None)


async def test_a_hang_says_nothing_and_can_still_be_left(load: Load) -> None:
    model = await load(hang_at_token=3)
    stream = await model.generate(request())
    got = [await anext(stream) for _ in range(3)]
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(anext(stream), 0.05)
    assert (len(got), model.failure) == (3, None)
    await stream.aclose()
    assert model.batch.running == 0


async def test_a_poisoned_prompt_kills_before_its_first_token(load: Load) -> None:
    model = await load(poison="arsenic")
    assert (await collect(await model.generate(request()))).usage.completion_tokens == 40
    got, error = await read(await model.generate(request("with arsenic in it")))
    assert (got, type(error)) == ([], EngineFailed)
    assert model.failure is not None


async def test_unloading_ends_running_streams_with_an_error(load: Load) -> None:
    model = await load()
    stream = await model.generate(request())
    await anext(stream)
    await model.close()
    await model.close()
    _, error = await read(stream)
    assert isinstance(error, EngineFailed)


async def test_a_load_fails_as_often_as_it_should() -> None:
    engine = SimEngine()
    spec = ModelSpec(name="m", engine="sim", options={"fail_load": "no luck", "fail_loads": 2})
    for _ in range(2):
        with pytest.raises(LoadFailed, match="no luck"):
            await engine.load(spec, None, lambda _progress: None)
    model = await engine.load(spec, None, lambda _progress: None)
    assert model.failure is None
    await model.close()


async def test_a_slow_load_reports_where_it_stands_and_can_be_given_up() -> None:
    told: list[LoadProgress] = []
    spec = ModelSpec(name="m", engine="sim", options={"load_seconds": 0.05})
    model = await SimEngine().load(spec, None, told.append)
    assert [progress.phase for progress in told][-1] == "ready"
    assert {"starting", "loading", "warming"} <= {progress.phase for progress in told}
    assert [progress.seconds for progress in told] == sorted(progress.seconds for progress in told)
    await model.close()
    slow = ModelSpec(name="m", engine="sim", options={"load_seconds": 60})
    load = asyncio.create_task(SimEngine().load(slow, None, told.append))
    await asyncio.sleep(0)
    load.cancel()
    with pytest.raises(asyncio.CancelledError):
        await load


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"tokens_per_secnd": 3}, r"models\.m\.options: .*tokens_per_secnd"),
        ({"ttft_ms": -1}, r"models\.m\.options\.ttft_ms: Must not be negative"),
        ({"stderr_bytes": 10}, "placement"),
        ({"placement": "moon"}, r"models\.m\.options: "),
    ],
)
def test_options_that_cannot_be_are_refused_by_name(options: dict[str, object], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        SimEngine().describe(ModelSpec(name="m", engine="sim", options=options), None)

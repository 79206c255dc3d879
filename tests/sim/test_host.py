"""The sim model in an engine host: the same answers, and faults that are real deaths."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from hyperllama.embedding import EmbeddingRequest
from hyperllama.errors import ContextTooLong, EngineFailed, LoadFailed, UnsupportedFeature
from hyperllama.generation import GenerationRequest, Regex, Sampling, TokenChunk
from hyperllama.host.process import HostedModel
from hyperllama.messages import Prompt
from hyperllama.models import LoadProgress, ModelSpec
from hyperllama.spi import Engine
from hyperllama.stream import TokenStream, collect
from hyperllama.testing.engine import EngineContract
from hyperllama_sim.engine import SimEngine
from hyperllama_sim.worker import CRASHED

Host = Callable[..., Awaitable[HostedModel]]


def spec(*, max_batch_size: int = 4, **options: Any) -> ModelSpec:
    return ModelSpec(
        name="m", engine="sim", max_batch_size=max_batch_size, max_length=256, options={"placement": "host", **options}
    )


@pytest.fixture
async def host() -> AsyncIterator[Host]:
    models: list[HostedModel] = []

    async def started(**options: Any) -> HostedModel:
        model = await SimEngine().load(spec(**options), None, lambda _progress: None)
        assert isinstance(model, HostedModel)
        models.append(model)
        return model

    yield started
    for model in models:
        await model.close()
        assert not alive(model.pid)


def alive(pid: int) -> bool:
    return pid != 0 and Path(f"/proc/{pid}").exists()


def request(text: str = "hello", *, tokens: int = 20) -> GenerationRequest:
    return GenerationRequest(model="m", input=Prompt(text), sampling=Sampling(ignore_eos=True, max_tokens=tokens))


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


class TestSimInAHost(EngineContract):
    timeout = 30.0

    @pytest.fixture
    def engine(self) -> Engine:
        return SimEngine()

    @pytest.fixture
    def spec(self) -> ModelSpec:
        return ModelSpec(
            name="sim",
            engine="sim",
            max_batch_size=2,
            max_length=256,
            options={"placement": "host", "tokens_per_second": 400},
        )


async def test_it_answers_as_it_does_in_the_gateways_process(host: Host) -> None:
    hosted = await host(embedding=8)
    here = await SimEngine().load(ModelSpec(name="m", engine="sim", options={"embedding": 8}), None, lambda _: None)
    ask = GenerationRequest(
        model="m", input=Prompt("the same"), sampling=Sampling(logprobs=2, max_tokens=9), return_token_ids=True
    )
    assert await collect(await hosted.generate(ask)) == await collect(await here.generate(ask))
    vectors = EmbeddingRequest(model="m", inputs=("one", "two"))
    assert await hosted.embed(vectors) == await here.embed(vectors)  # type: ignore[attr-defined]
    ids = await hosted.tokenize(Prompt("the same"))
    assert await hosted.detokenize(ids) == "the same"
    assert hosted.info.vocab_size == here.info.vocab_size
    await here.close()


async def test_refusals_come_out_of_the_host_as_what_they_are(host: Host) -> None:
    model = await host()
    with pytest.raises(ContextTooLong, match="the context holds 256"):
        await model.generate(request("a " * 300))
    with pytest.raises(UnsupportedFeature):
        await model.generate(GenerationRequest(model="m", input=Prompt("x"), output=Regex("a+")))


@pytest.mark.parametrize("token", [0, 1, 19])
async def test_a_crash_is_the_death_of_the_process_and_of_every_stream(host: Host, token: int) -> None:
    model = await host(crash_at_token=token, tokens_per_second=200, ttft_ms=300)
    told: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    model.watch(told.set_result)
    streams = [await model.generate(request(str(number))) for number in range(3)]
    for got, error in await asyncio.gather(*map(read, streams)):
        assert len(got) <= token + 1
        assert isinstance(error, EngineFailed)
        assert "SIGKILL" in error.message
    assert "SIGKILL" in await told
    assert model.failure == told.result()


async def test_a_poisoned_prompt_kills_the_process(host: Host) -> None:
    model = await host(poison="arsenic")
    assert (await collect(await model.generate(request()))).usage.completion_tokens == 20
    got, error = await read(await model.generate(request("with arsenic")))
    assert (got, type(error)) == ([], EngineFailed)


@pytest.mark.parametrize("fault", ["error_at_token", "bug_at_token"])
async def test_an_error_strikes_its_own_request_alone(host: Host, fault: str) -> None:
    model = await host(fault_prompt="bad", **{fault: 5})
    streams = [await model.generate(request(text)) for text in ("bad", "good")]
    (bad, error), (good, none) = await asyncio.gather(*map(read, streams))
    assert (len(bad), type(error)) == (5, EngineFailed)
    assert (len(good), none, model.failure) == (20, None, None)


@pytest.mark.parametrize("hang", ["engine", "process"])
async def test_a_hang_is_found(host: Host, hang: str) -> None:
    model = await host(hang_at_token=3, hang=hang, silence=1.0, longest_step=1.0, tokens_per_second=200)
    got, error = await read(await model.generate(request()))
    assert len(got) == 3
    assert isinstance(error, EngineFailed)
    assert "hung" in str(model.failure)


async def test_a_load_that_fails_says_why_and_leaves_no_process() -> None:
    before = children()
    engine = SimEngine()
    failing = spec(fail_load="no luck", fail_loads=1)
    with pytest.raises(LoadFailed, match="no luck"):
        await engine.load(failing, None, lambda _progress: None)
    assert children() == before
    model = await engine.load(failing, None, lambda _progress: None)
    await model.close()
    assert children() == before


async def test_a_load_that_dies_says_how() -> None:
    before = children()
    with pytest.raises(LoadFailed, match=f"exit code {CRASHED}"):
        await SimEngine().load(spec(crash_load=True), None, lambda _progress: None)
    assert children() == before


async def test_a_load_that_is_given_up_leaves_no_process() -> None:
    before = children()
    told: list[LoadProgress] = []
    load = asyncio.create_task(SimEngine().load(spec(load_seconds=60), None, told.append))
    while not any(progress.phase == "loading" or progress.estimate for progress in told):
        await asyncio.wait({load}, timeout=0.01)
    load.cancel()
    with pytest.raises(asyncio.CancelledError):
        await load
    assert children() == before


async def test_the_memory_it_takes_is_real_and_comes_back(host: Host) -> None:
    small, large = await host(), await host(memory_mb=64)
    assert large.memory()[0] - small.memory()[0] > 48 << 20
    await large.close()
    assert large.memory()[0] == 0


async def test_a_flood_on_stderr_stops_nothing_and_is_cut_in_the_log(host: Host) -> None:
    with capture_logs() as logs:
        model = await host(stderr_bytes=4 << 20, stderr_line=1 << 20)
        answer = await collect(await model.generate(request()))
        await model.close()
    assert answer.usage.completion_tokens == 20
    lines = [entry for entry in logs if entry["event"] == "host output" and "line" in entry]
    assert len(lines) == 4
    assert all(len(entry["line"]) < 32_768 and entry["truncated_bytes"] > 900_000 for entry in lines)


async def test_leaving_gives_the_place_back_in_the_host(host: Host) -> None:
    model = await host(max_batch_size=1, tokens_per_second=500)
    for _ in range(3):
        stream = await model.generate(request(tokens=200))
        await anext(stream)
        await stream.aclose()
    assert (await collect(await model.generate(request()))).usage.completion_tokens == 20


def children() -> list[int]:
    """Hosts of this process. Gateways that other tests have running are its children, too."""
    tasks = Path(f"/proc/{os.getpid()}/task").iterdir()
    found = [int(child) for task in tasks for child in (task / "children").read_text().split()]
    return [pid for pid in found if b"hyperllama.host" in Path(f"/proc/{pid}/cmdline").read_bytes()]

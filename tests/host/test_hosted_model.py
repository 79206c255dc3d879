"""A model in a host process serves, refuses, cancels and is given back like any other."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import pytest

from hyperllama.embedding import EmbeddingRequest
from hyperllama.errors import ContextTooLong, EngineFailed, LoadFailed
from hyperllama.host.process import HostedModel
from hyperllama.messages import Prompt, PromptTokens
from hyperllama.models import LoadProgress, ModelSpec
from hyperllama.stream import collect


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def directories(beside: str) -> set[str]:
    return {str(path) for path in Path(beside).parent.iterdir()}


def state(pid: int) -> str:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]


async def stopped(pid: int) -> None:
    for _ in range(400):
        if state(pid) == "T":
            return
        await asyncio.sleep(0.025)
    raise AssertionError("still running")


def below_of(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


async def test_a_generation_arrives_whole_and_in_order(start, ask):
    model = await start()
    answer = await collect(await model.generate(ask(5)))
    assert answer.text == "1 2 3 4 5 "
    assert answer.finish_reason == "stop"
    assert answer.usage.completion_tokens == 5


async def test_many_generations_share_steps_and_keep_their_chunks_apart(start, ask):
    model = await start()
    answers = await asyncio.gather(*[asyncio.create_task(_whole(model, ask(n))) for n in range(1, 65)])
    assert [len(answer.text.split()) for answer in answers] == list(range(1, 65))


async def test_a_refusal_crosses_the_wire_as_the_same_class(start, ask):
    model = await start()
    with pytest.raises(ContextTooLong) as refused:
        await model.generate(ask(20_000))
    assert refused.value.param == "max_tokens"
    assert refused.value.message == "too much"


async def test_a_bug_in_admission_fails_that_request_alone(start, ask):
    model = await start()
    with pytest.raises(EngineFailed, match="ZeroDivisionError"):
        await model.generate(ask(3, seed=13))
    assert (await collect(await model.generate(ask(3)))).text == "1 2 3 "


async def test_closing_a_stream_cancels_it_in_the_worker(start, ask):
    model = await start(pace=0.01)
    stream = await model.generate(ask(10_000))
    assert await stream.batch()
    await stream.aclose()
    assert await _settled(model, lambda state: len(state) == 2)  # steps, then the one cancelled
    assert model.failure is None


async def test_closing_streams_that_were_never_read_cancels_every_one(start, ask):
    model = await start(pace=0.01)

    async def leave() -> None:
        await (await model.generate(ask(10_000))).aclose()

    for _ in range(20):
        await asyncio.gather(*[leave() for _ in range(50)])
    assert await _settled(model, lambda state: len(state) == 1 + 1000)


async def test_cancelling_the_admission_takes_the_request_back(start, ask):
    model = await start(slow_admission=60)
    task = asyncio.create_task(model.generate(ask(5)))
    await asyncio.sleep(0)
    await model.tokenize(PromptTokens((1,)))  # the submission went out before this
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await model.tokenize(PromptTokens((1,))) == (0,)  # nothing runs, nothing was cancelled in the engine


async def test_embeddings_and_tokens_come_back(start):
    model = await start()
    assert (await model.embed(EmbeddingRequest(model="m", inputs=("a", "b")))).vectors == (b"a", b"b")
    assert await model.tokenize(Prompt("hi")) == (104, 105)
    assert await model.detokenize((104, 105)) == "hi"
    assert await model.token_texts((104, 105, 104)) == ("h", "i", "h")
    assert await model.token_texts(()) == ()


async def test_load_progress_is_reported_with_seconds_since_the_load_began(start):
    reports: list[LoadProgress] = []
    await start(reports=reports)
    assert [report.phase for report in reports] == ["importing", "compiling", "warming"]
    assert reports[1].detail == "a graph"
    assert all(report.seconds > 0 for report in reports)


@pytest.mark.parametrize(
    ("how", "sentence"), [("fail", "no such luck"), ("raise", "ZeroDivisionError"), ("crash", "SIGSEGV")]
)
async def test_a_failed_load_says_why_and_leaves_no_process(start, how, sentence):
    before = _children()
    with pytest.raises(LoadFailed, match=sentence):
        await start(load=how)
    assert _children() == before


async def test_cancelling_a_load_ends_its_process(start):
    before = _children()
    loading = asyncio.Event()

    class Reports(list):
        def append(self, item):
            if item.phase == "compiling":
                loading.set()

    task = asyncio.create_task(start(load="wait", reports=Reports()))
    await loading.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert _children() == before


async def test_closing_ends_the_process_and_what_it_started(start):
    model = await start(child=True)
    pid = model.pid
    below = below_of(pid)
    assert below
    assert model.memory()[0] > 20_000_000
    await model.close()
    assert not alive(pid)
    assert not any(map(alive, below))
    assert model.memory() == (0, 0)


async def test_closing_fails_running_streams_and_later_requests(start, ask):
    model = await start(pace=0.01)
    stream = await model.generate(ask(10_000))
    await model.close()
    with pytest.raises(EngineFailed, match="unloaded"):
        await collect(stream)
    with pytest.raises(EngineFailed):
        await model.generate(ask(1))


async def test_a_host_inherits_no_secrets_and_lives_in_a_private_directory(start, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "sk-canary")
    monkeypatch.setenv("HF_TOKEN", "hf-canary")
    model = await start()
    found = model.info.metadata
    assert "canary" not in str(found["environment"])
    assert found["environment"]["TMPDIR"] == found["cwd"]
    assert found["mode"] == 0o700
    await model.close()
    assert found["cwd"] not in directories(found["cwd"])


async def test_an_idle_host_is_stopped_and_woken_by_the_next_request(start, ask):
    model = await start(host={"suspend_after": 0.2, "silence": 1.0})
    for _ in range(2):
        await stopped(model.pid)
        answer = await collect(await model.generate(ask(3)))
        assert answer.text == "1 2 3 "
    await stopped(model.pid)
    pid = model.pid
    await model.close()
    assert not alive(pid)
    assert model.failure == "it was unloaded"


async def test_a_working_host_is_not_stopped(start, ask):
    model = await start(pace=0.6, host={"suspend_after": 0.2, "silence": 1.0})
    assert (await collect(await model.generate(ask(2)))).text == "1 2 "


async def test_directories_of_dead_gateways_are_swept_up(start, tmp_path, monkeypatch):
    import tempfile

    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    stale = tmp_path / "hyperllama-host-999999999-x"
    mine = tmp_path / f"hyperllama-host-{os.getpid()}-x"
    stale.mkdir()
    mine.mkdir()
    await start()
    assert not stale.exists()
    assert mine.exists()


async def test_a_factory_that_cannot_be_imported_is_a_failed_load():
    from hyperllama.host.process import HostOptions

    model = HostedModel("m", HostOptions(factory="no_such_module:Thing"))
    with pytest.raises(LoadFailed, match="no_such_module"):
        await model.load(ModelSpec(name="m"), None, lambda _: None)


async def _whole(model, request):
    return await collect(await model.generate(request))


async def _settled(model, done, tries=200) -> bool:
    """The worker's own account of steps, running and cancelled requests, asked until it fits."""
    for _ in range(tries):
        if done(await model.tokenize(PromptTokens((1,)))):
            return True
    return False


def _children() -> set[str]:
    return {
        child
        for task in Path("/proc/self/task").iterdir()
        for child in (task / "children").read_text().split()
        if alive(int(child))
    }

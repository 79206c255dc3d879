"""Hosts that die, hang, babble or lose their gateway."""

from __future__ import annotations

import asyncio
import os
import select
import signal
import subprocess
import sys
import textwrap

import pytest

from hyperllama.errors import EngineFailed, LoadFailed
from hyperllama.host.process import HostedModel
from hyperllama.models import ModelSpec
from hyperllama.stream import collect
from tests.support.paths import ROOT


@pytest.mark.parametrize("fault", ["kill", "raise"])
@pytest.mark.parametrize("at", [1, 3])
async def test_a_death_fails_every_stream_after_what_it_had_said(start, ask, fault, at):
    model = await start(fault=fault, at=at)
    seen = asyncio.get_running_loop().create_future()
    model.watch(seen.set_result)
    stream = await model.generate(ask(1000))
    text = ""
    with pytest.raises(EngineFailed, match="lost"):
        async for chunk in stream:
            text += chunk.text
    await stream.aclose()
    assert text.split() == [str(n + 1) for n in range(at)]
    assert await seen == model.failure
    assert ("SIGKILL" if fault == "kill" else "ZeroDivisionError") in model.failure


async def test_a_death_of_one_model_is_nothing_to_another(start, ask):
    victim, other = await start(pace=0.01), await start(pace=0.001)
    lost = await victim.generate(ask(10_000))
    assert await lost.batch()
    running = asyncio.create_task(collect(await other.generate(ask(200))))
    os.kill(victim.pid, signal.SIGKILL)
    with pytest.raises(EngineFailed):
        await collect(lost)
    assert len((await running).text.split()) == 200
    assert other.failure is None


@pytest.mark.nightly
async def test_a_hundred_deaths_at_any_token_hurt_no_other_model(start, ask):
    other = await start(pace=0.001)
    for n in range(100):
        victim = await start(pace=0.001)
        running = asyncio.create_task(collect(await other.generate(ask(100))))
        lost = await victim.generate(ask(1000))
        for _ in range((0, 1, 50)[n % 3]):
            await lost.batch()
        os.kill(victim.pid, signal.SIGKILL)
        with pytest.raises(EngineFailed, match="SIGKILL"):
            await collect(lost)
        await victim.close()
        assert len((await running).text.split()) == 100
    assert other.failure is None


async def test_a_stopped_host_is_found_hung_and_ended(start, ask):
    model = await start(pace=0.01, host={"silence": 0.5})
    pid = model.pid
    stream = await model.generate(ask(10_000))
    os.kill(pid, signal.SIGSTOP)
    with pytest.raises(EngineFailed, match="hung"):
        await collect(stream)
    await model.close()
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


async def test_a_host_whose_interpreter_is_held_is_found_hung(start, ask):
    model = await start(fault="gil", at=2, host={"silence": 1.0})
    with pytest.raises(EngineFailed, match="no sign of life"):
        await collect(await model.generate(ask(1000)))


async def test_a_long_step_is_no_hang(start, ask):
    model = await start(pace=2.5, host={"silence": 0.5, "longest_step": 60.0})
    assert (await collect(await model.generate(ask(1)))).text == "1 "
    assert model.failure is None


async def test_a_step_that_never_ends_is_a_hang(start, ask):
    model = await start(fault="hang", at=1, host={"longest_step": 1.0})
    with pytest.raises(EngineFailed, match="one step has run"):
        await collect(await model.generate(ask(1000)))


async def test_a_flood_on_stderr_blocks_nobody_and_is_cut(start, ask, capfd):
    model = await start(noise=8 * 1024 * 1024)
    assert (await collect(await model.generate(ask(2)))).text == "1 2 "
    await model.close()
    written = capfd.readouterr().out
    assert len(written) < 2_000_000
    assert "truncated_bytes" in written
    assert "dropped_lines" in written


GATEWAY = """
import asyncio, os, sys
sys.path.insert(0, {root!r})
from tests.support.hosts import options, request
from hyperllama.host.process import HostedModel
from hyperllama.models import ModelSpec

async def main():
    model = HostedModel("m", options())
    spec = ModelSpec(name="m", options={fake!r})
    loading = asyncio.create_task(model.load(spec, None, lambda p: print(p.phase, flush=True)))
    if {wait!r}:
        await loading
    else:
        while not model.pid:
            await asyncio.sleep(0.001)
    children = open(f"/proc/{{model.pid}}/task/{{model.pid}}/children").read().split()
    print("PIDS", model.pid, *children, flush=True)
    await asyncio.sleep(600)

asyncio.run(main())
"""


@pytest.mark.parametrize(
    ("fake", "wait", "stopped"),
    [
        ({"pace": 0.01}, True, False),
        ({"pace": 0.01}, True, True),
        ({"load": "wait"}, False, False),
    ],
    ids=["serving", "stopped", "starting"],
)
def test_killing_the_gateway_leaves_no_host(fake, wait, stopped):
    script = textwrap.dedent(GATEWAY.format(root=str(ROOT), fake=fake, wait=wait))
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True) as gateway:
        pids = []
        for line in gateway.stdout:
            if line.startswith("PIDS"):
                pids = [int(pid) for pid in line.split()[1:]]
                break
        assert pids
        if stopped:
            os.kill(pids[0], signal.SIGSTOP)
        watches = [os.pidfd_open(pid) for pid in pids]
        gateway.kill()
        gateway.wait()
        for watch in watches:
            assert select.select([watch], [], [], 2.0)[0], "still alive two seconds after its gateway"
            os.close(watch)


@pytest.mark.parametrize(
    "garbage", [b"\xff\xff\xff\xff", b"\x00\x00\x00\x01\xc1", b"\x00\x00\x00\x02\x91\xa5", bytes(64)]
)
async def test_a_host_that_talks_nonsense_is_ended(start, ask, garbage):
    model = await start(pace=0.01)
    stream = await model.generate(ask(10_000))
    reader = model._connection
    reader.data_received(garbage)
    with pytest.raises(EngineFailed, match="protocol"):
        await collect(stream)


async def test_a_host_that_is_ended_while_loading_fails_the_load(host_options):
    model = HostedModel("m", host_options())

    def report(progress):
        if progress.phase == "compiling":
            os.kill(model.pid, signal.SIGKILL)

    with pytest.raises(LoadFailed, match="SIGKILL"):
        await model.load(ModelSpec(name="m", options={"load": "wait"}), None, report)

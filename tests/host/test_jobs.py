"""Blocking work of a host: bounded, in time, the cheapest first."""

from __future__ import annotations

import asyncio
import threading

import pytest

from hyperllama.errors import InvalidRequest, Overloaded
from hyperllama.host import jobs as module
from hyperllama.host.jobs import Deadline, Jobs


class Gate:
    """A job that holds its thread until it is opened."""

    def __init__(self) -> None:
        self.opened, self.entered = threading.Event(), threading.Event()

    def __call__(self, deadline: Deadline) -> str:
        self.entered.set()
        assert self.opened.wait(30)
        return "held"


async def held(jobs: Jobs) -> tuple[Gate, asyncio.Task[str]]:
    gate = Gate()
    task = asyncio.create_task(jobs.run(gate, cost=1))
    await asyncio.to_thread(gate.entered.wait, 30)
    return gate, task


async def test_what_a_job_returns_or_raises_is_the_caller_s():
    jobs = Jobs("test")
    assert await jobs.run(lambda _: 7) == 7
    with pytest.raises(ZeroDivisionError):
        await jobs.run(lambda _: 1 // 0)


async def test_jobs_run_on_threads_but_for_the_cheap_ones():
    jobs = Jobs("test", inline=10)
    assert await jobs.run(lambda _: threading.current_thread(), cost=10) is threading.current_thread()
    assert await jobs.run(lambda _: threading.current_thread(), cost=11) is not threading.current_thread()


async def test_the_cheapest_of_those_that_wait_is_next():
    jobs, order = Jobs("test"), []
    gate, first = await held(jobs)
    waiting = [
        asyncio.create_task(jobs.run(lambda _, cost=cost: order.append(cost), cost=cost)) for cost in (5, 1, 9, 3)
    ]
    await asyncio.sleep(0)
    gate.opened.set()
    await asyncio.gather(first, *waiting)
    assert order == [1, 3, 5, 9]


async def test_a_job_that_takes_too_long_is_refused_and_ends_at_its_next_check():
    jobs, ended = Jobs("test", seconds=0.05), threading.Event()

    def work(deadline: Deadline) -> None:
        try:
            while True:
                deadline.check()
        except TimeoutError:
            ended.set()
            raise

    with pytest.raises(InvalidRequest, match="make it smaller"):
        await jobs.run(work)
    assert await asyncio.to_thread(ended.wait, 30)
    assert await jobs.run(lambda _: "next") == "next"  # its thread is free again


async def test_a_job_that_never_checks_holds_its_thread_and_nothing_else():
    jobs = Jobs("test", threads=1, seconds=0.05, wait=0.05, inline=0)
    gate, first = await held(jobs)
    with pytest.raises(InvalidRequest):
        await first
    with pytest.raises(Overloaded) as refused:
        await jobs.run(lambda _: 1, cost=1)
    assert refused.value.retry_after == 1
    assert await jobs.run(lambda _: 2, cost=0) == 2  # cheap ones pass by
    gate.opened.set()
    async with asyncio.timeout(30):
        while True:
            try:
                assert await jobs.run(lambda _: 3, cost=1) == 3
                break
            except Overloaded:
                continue


async def test_no_more_jobs_wait_than_there_are_places(monkeypatch):
    monkeypatch.setattr(module, "PLACES", 2)
    jobs = Jobs("test")
    gate, first = await held(jobs)
    waiting = [asyncio.create_task(jobs.run(lambda _: 1)) for _ in range(2)]
    await asyncio.sleep(0)
    with pytest.raises(Overloaded):
        await jobs.run(lambda _: 1)
    gate.opened.set()
    assert await asyncio.gather(first, *waiting) == ["held", 1, 1]


async def test_a_caller_that_gives_up_leaves_its_place_to_the_next():
    jobs = Jobs("test")
    gate, first = await held(jobs)
    gone, stays = (asyncio.create_task(jobs.run(lambda _: 1, cost=cost)) for cost in (1, 2))
    await asyncio.sleep(0)
    gone.cancel()
    await asyncio.wait({gone})
    gate.opened.set()
    assert await asyncio.gather(first, stays) == ["held", 1]
    assert not jobs._waiting
    await asyncio.sleep(0)
    assert jobs._free == 1

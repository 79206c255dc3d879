from __future__ import annotations

import asyncio
import random
from collections import Counter

import pytest

from hyperllama.config import Queue
from hyperllama.errors import Draining, Overloaded
from hyperllama.generation import Usage
from hyperllama.identity import Principal
from hyperllama.queue.queue import FairQueue
from hyperllama.queue.waiting_queue import WaitingQueue


async def settle() -> None:
    """Let everything that can run, run."""
    for _ in range(5):
        await asyncio.sleep(0)


def waiting(queue: FairQueue) -> int:
    return sum(state.waiting for state in queue.states())


def running(queue: FairQueue) -> int:
    return sum(state.running for state in queue.states())


async def test_nobody_waits_while_there_is_a_place(make_call) -> None:
    queue = FairQueue(Queue())
    for _ in range(2):
        call = make_call(places=2)
        coroutine = queue.enter(call)
        with pytest.raises(StopIteration):
            coroutine.send(None)
        assert call.admitted > 0
    assert running(queue) == 2


async def test_as_many_go_in_as_the_batch_holds_and_the_next_when_one_leaves(make_call, end) -> None:
    queue = FairQueue(Queue())
    calls = [make_call(places=2) for _ in range(4)]
    tasks = [asyncio.create_task(queue.enter(call)) for call in calls]
    await settle()
    assert [task.done() for task in tasks] == [True, True, False, False]
    await end(calls[0], usage=Usage(1, 1))
    await settle()
    assert tasks[2].done()
    assert not tasks[3].done()
    await end(calls[1])
    await end(calls[2])
    await tasks[3]
    await end(calls[3])
    assert running(queue) == 0


async def test_models_do_not_wait_for_each_other(make_call) -> None:
    queue = FairQueue(Queue())
    await queue.enter(make_call(model="a", places=1))
    await asyncio.wait_for(queue.enter(make_call(model="b", places=1)), 1)
    assert running(queue) == 2


async def test_a_full_line_refuses_with_the_measured_time(make_call, end) -> None:
    now = [0.0]
    queue = FairQueue(Queue(max_waiting=2), clock=lambda: int(now[0] * 1e9))
    first = make_call(places=1)
    await queue.enter(first)
    calls = [make_call(places=1) for _ in range(8)]
    tasks = []
    current = first
    for call in calls:  # one completion every 4 s, one always waiting
        tasks.append(asyncio.create_task(queue.enter(call)))
        await settle()
        now[0] += 4.0
        await end(current)
        current = call
        await settle()
    tasks += [asyncio.create_task(queue.enter(make_call(places=1))) for _ in range(2)]
    await settle()
    with pytest.raises(Overloaded, match="queue is full") as refused:
        await queue.enter(make_call(places=1))
    assert refused.value.retry_after == pytest.approx(12.0)  # two before it, and itself
    for task in tasks:
        task.cancel()


async def test_prompt_tokens_bound_the_line_too_and_one_long_prompt_may_always_wait(make_call) -> None:
    queue = FairQueue(Queue(max_waiting_tokens=100))
    await queue.enter(make_call(places=1))
    long = asyncio.create_task(queue.enter(make_call(places=1, prompt="x" * 4000)))
    await settle()
    assert waiting(queue) == 1
    with pytest.raises(Overloaded):
        await queue.enter(make_call(places=1))
    long.cancel()


async def test_one_who_leaves_the_line_is_forgotten_and_one_who_leaves_at_the_door_gives_the_place_on(
    make_call, end
) -> None:
    queue = FairQueue(Queue())
    first = make_call(places=1)
    await queue.enter(first)
    in_line = asyncio.create_task(queue.enter(make_call(places=1)))
    at_door = asyncio.create_task(queue.enter(make_call(places=1)))
    last_call = make_call(places=1)
    last = asyncio.create_task(queue.enter(last_call))
    await settle()
    in_line.cancel()
    await settle()
    assert waiting(queue) == 2
    await end(first)  # at_door has its place now, and has not run yet
    at_door.cancel()
    await asyncio.wait_for(last, 1)
    assert at_door.cancelled()
    await end(last_call)
    assert running(queue) == waiting(queue) == 0


async def test_a_storm_of_leavers_leaks_no_place(make_call, end) -> None:
    rng = random.Random(3)
    queue = FairQueue(Queue(max_waiting=50))

    async def client(number: int) -> None:
        call = make_call(f"k{number % 7}", places=3)
        try:
            await queue.enter(call)
        except Overloaded:
            return
        except asyncio.CancelledError:
            await end(call, "cancelled")
            raise
        try:
            await asyncio.sleep(0)
        finally:
            await end(call, "cancelled")

    for _ in range(20):
        tasks = [asyncio.create_task(client(number)) for number in range(100)]
        for _ in range(rng.randrange(4)):
            await asyncio.sleep(0)
        for task in rng.sample(tasks, 50):
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        assert running(queue) == waiting(queue) == 0
        assert all(state.waiting_tokens == 0 for state in queue.states())


async def test_who_fills_the_line_beyond_its_share_makes_room_for_who_does_not(make_call) -> None:
    queue = FairQueue(Queue(max_waiting=10))
    await queue.enter(make_call("noisy", places=1))
    noisy = [asyncio.create_task(queue.enter(make_call("noisy", places=1))) for _ in range(10)]
    await settle()
    quiet = asyncio.create_task(queue.enter(make_call("quiet", places=1)))
    await settle()
    assert not quiet.done()
    assert waiting(queue) == 10
    put_out = [task for task in noisy if task.done()]
    assert put_out == [noisy[-1]]
    with pytest.raises(Overloaded) as refused:
        await put_out[0]
    assert refused.value.retry_after > 0
    with pytest.raises(Overloaded):
        await queue.enter(make_call("noisy", places=1))
    for task in (*noisy, quiet):
        task.cancel()
    await asyncio.gather(*noisy, quiet, return_exceptions=True)


async def test_a_request_that_waited_too_long_is_refused(make_call) -> None:
    queue = FairQueue(Queue(max_wait=0.01))
    await queue.enter(make_call(places=1))
    with pytest.raises(Overloaded, match="in time"):
        await asyncio.wait_for(queue.enter(make_call(places=1)), 5)
    assert waiting(queue) == 0


async def test_more_places_let_the_waiting_in(make_call) -> None:
    queue = FairQueue(Queue())
    await queue.enter(make_call(places=1))
    second = asyncio.create_task(queue.enter(make_call(places=1)))
    await settle()
    await asyncio.wait_for(queue.enter(make_call(places=3)), 1)
    assert second.done()


async def test_stopping_puts_everyone_out(make_call) -> None:
    queue = FairQueue(Queue())
    await queue.enter(make_call(places=1))
    tasks = [asyncio.create_task(queue.enter(make_call(places=1))) for _ in range(3)]
    await settle()
    queue.refuse(Draining("stopping"))
    for task in tasks:
        with pytest.raises(Draining):
            await task


async def test_embeddings_that_are_not_gathered_go_in_one_client_at_a_time(make_call, end) -> None:
    queue = FairQueue(Queue(embed_batching=False))
    first = make_call(inputs=("a",), places=64)
    await queue.enter(first)
    second = asyncio.create_task(queue.enter(make_call("two", inputs=("b",), places=64)))
    await asyncio.sleep(0)
    assert not second.done()
    await end(first)
    await asyncio.wait_for(second, 5)


async def test_embeddings_go_in_beyond_the_batch_so_that_they_can_be_gathered(make_call) -> None:
    queue = FairQueue(Queue(embed_max_inputs=8))
    for _ in range(16):
        await asyncio.wait_for(queue.enter(make_call(inputs=("x",), places=1)), 1)
    task = asyncio.create_task(queue.enter(make_call(inputs=("x",), places=1)))
    await settle()
    assert not task.done()
    task.cancel()


def _served(line: WaitingQueue, arrivals: dict[str, tuple[float, int, int]], turns: int) -> Counter[str]:
    """Tokens each principal got of ``turns`` admissions, all always wanting more. (weight, priority, cost)"""
    loop = asyncio.new_event_loop()
    try:
        for name, (weight, priority, cost) in arrivals.items():
            for _ in range(3):
                line.join(
                    Principal(id=name, weight=weight, priority=priority),
                    tokens=1,
                    cost=cost,
                    future=loop.create_future(),
                )
        tokens: Counter[str] = Counter()
        for _ in range(turns):
            waiter = line.next()
            name = waiter.principal.id
            weight, priority, cost = arrivals[name]
            tokens[name] += waiter.cost
            line.join(
                Principal(id=name, weight=weight, priority=priority), tokens=1, cost=cost, future=loop.create_future()
            )
        return tokens
    finally:
        loop.close()


def test_shares_of_a_busy_model_follow_the_weights_whatever_the_requests_cost() -> None:
    rng = random.Random(1)
    arrivals = {f"k{n}": (rng.choice((1.0, 2.0, 5.0)), 0, rng.randint(5, 400)) for n in range(20)}
    tokens = _served(WaitingQueue(0.05), arrivals, 20_000)
    total, weights = sum(tokens.values()), sum(weight for weight, _, _ in arrivals.values())
    for name, (weight, _, _) in arrivals.items():
        assert tokens[name] / total == pytest.approx(weight / weights, rel=0.05)


def test_a_lower_class_gets_its_floor_and_no_more() -> None:
    served = _served(WaitingQueue(0.05), {"high": (1.0, 5, 10), "low": (100.0, -10, 10)}, 2000)
    assert served["low"] / sum(served.values()) == pytest.approx(0.05, abs=0.002)
    served = _served(WaitingQueue(0.0), {"high": (1.0, 5, 10), "low": (100.0, -10, 10)}, 2000)
    assert served["low"] == 0


def test_who_comes_back_after_a_pause_is_neither_owed_nor_owing() -> None:
    loop = asyncio.new_event_loop()
    line = WaitingQueue(0.05)

    def join(name: str) -> None:
        line.join(Principal(id=name), tokens=1, cost=10, future=loop.create_future())

    for _ in range(200):
        join("busy")
        join("busy")
        line.next()
    for _ in range(50):
        join("back")
    order = [line.next().principal.id for _ in range(40)]
    assert 18 <= order.count("back") <= 22
    loop.close()


def test_real_use_corrects_the_shares_of_who_asks_for_little_and_takes_much() -> None:
    loop = asyncio.new_event_loop()
    line = WaitingQueue(0.05)
    real = {"liar": 100, "honest": 100}
    claims = {"liar": 10, "honest": 100}
    got: Counter[str] = Counter()

    def join(name: str) -> None:
        line.join(Principal(id=name), tokens=1, cost=claims[name], future=loop.create_future())

    for name in real:
        join(name)
        join(name)
    for _ in range(2000):
        waiter = line.next()
        name = waiter.principal.id
        got[name] += real[name]
        join(name)
        line.correct(waiter, real[name])
    assert got["liar"] / sum(got.values()) == pytest.approx(0.5, abs=0.02)
    loop.close()


async def test_the_time_a_model_took_to_load_is_no_measure_of_how_fast_it_answers(make_call, end) -> None:
    now = [0.0]
    queue = FairQueue(Queue(max_waiting=2, max_wait=10), clock=lambda: int(now[0] * 1e9))
    current = make_call(places=1)
    await queue.enter(current)
    waiter = make_call(places=1)
    task = asyncio.create_task(queue.enter(waiter))
    await settle()
    now[0] = 60.0
    current.loaded = int(60 * 1e9)
    now[0] = 61.0
    await end(current)
    await task
    now[0] = 62.0
    await end(waiter)
    current = make_call(places=1)
    await queue.enter(current)
    tasks = [asyncio.create_task(queue.enter(make_call(places=1))) for _ in range(2)]
    await settle()
    with pytest.raises(Overloaded) as refused:
        await queue.enter(make_call(places=1))
    assert refused.value.retry_after == pytest.approx(3.0)
    for task in tasks:
        task.cancel()


async def test_a_new_floor_holds_for_lines_that_are_there(make_call) -> None:
    queue = FairQueue(Queue(floor=0.0))
    await queue.enter(make_call(places=1))
    high, low = Principal(id="high", priority=5), Principal(id="low")
    waiting = [asyncio.create_task(queue.enter(make_call(who, places=1))) for who in (low, *[high] * 6)]
    await asyncio.sleep(0)
    queue.reload(Queue(floor=0.5))
    line = queue._lanes["m", False].queue
    assert "low" in [line.next().principal.id for _ in range(3)]
    for task in waiting:
        task.cancel()
    await asyncio.gather(*waiting, return_exceptions=True)

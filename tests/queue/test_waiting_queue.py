"""Owners share a busy model, whatever their number of keys, and their keys share what they get."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hyperllama.config import Queue
from hyperllama.errors import Overloaded
from hyperllama.identity import Principal
from hyperllama.queue.fairness import Waiter
from hyperllama.queue.queue import FairQueue
from hyperllama.queue.waiting_queue import WaitingQueue


@pytest.fixture(scope="module")
def loop() -> Iterator[asyncio.AbstractEventLoop]:
    loop = asyncio.new_event_loop()
    yield loop
    loop.close()


def key(owner: str, number: int = 0, weight: float = 1.0) -> Principal:
    return Principal(id=f"{owner}-{number}", owner=owner, weight=weight)


def join(queue: WaitingQueue, who: Principal, loop: asyncio.AbstractEventLoop, cost: int = 10) -> Waiter:
    return queue.join(who, tokens=1, cost=cost, future=loop.create_future())


def shares(
    principals: list[Principal], loop: asyncio.AbstractEventLoop, turns: int = 4000, seed: int = 1
) -> Counter[str]:
    """The tokens each key got while all of them always want more, at random costs."""
    rng = random.Random(seed)
    queue, got = WaitingQueue(0.05), Counter[str]()
    for who in principals:
        for _ in range(3):
            join(queue, who, loop, rng.randint(1, 50))
    for _ in range(turns):
        waiter = queue.next()
        got[waiter.principal.id] += waiter.cost
        join(queue, waiter.principal, loop, rng.randint(1, 50))
    return got


def by_owner(got: Counter[str]) -> Counter[str]:
    total: Counter[str] = Counter()
    for name, tokens in got.items():
        total[name.rpartition("-")[0]] += tokens
    return total


@pytest.mark.parametrize("keys", [1, 2, 9, 60])
def test_an_owner_gains_nothing_by_having_many_keys(loop: asyncio.AbstractEventLoop, keys: int) -> None:
    got = by_owner(shares([*(key("many", number) for number in range(keys)), key("one")], loop))
    assert got["one"] / got.total() == pytest.approx(0.5, abs=0.03)


def test_the_keys_of_an_owner_share_by_their_weights(loop: asyncio.AbstractEventLoop) -> None:
    got = shares([key("a", 1, 1.0), key("a", 2, 3.0), key("b")], loop)
    assert got["a-2"] / (got["a-1"] + got["a-2"]) == pytest.approx(0.75, abs=0.03)


def test_an_owner_weighs_as_its_heaviest_waiting_key(loop: asyncio.AbstractEventLoop) -> None:
    got = by_owner(shares([key("a", 1, 1.0), key("a", 2, 3.0), key("b")], loop))
    assert got["a"] / got.total() == pytest.approx(0.75, abs=0.03)
    got = by_owner(shares([key("a", 1, 1.0), key("a", 3, 1.0), key("b")], loop))
    assert got["a"] / got.total() == pytest.approx(0.5, abs=0.03)


def test_keys_without_an_owner_are_their_own(loop: asyncio.AbstractEventLoop) -> None:
    """Also one whose id another owner has for a name."""
    got = shares([Principal(id="a"), Principal(id="b"), Principal(id="x", owner="a")], loop)
    assert {name: round(tokens / got.total(), 1) for name, tokens in got.items()} == {"a": 0.3, "b": 0.3, "x": 0.3}


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_whatever_joins_and_leaves_the_counts_stay_true(loop: asyncio.AbstractEventLoop, data: st.DataObject) -> None:
    principals = [
        Principal(id=f"k{number}", owner=owner, weight=weight, priority=priority)
        for number, (owner, weight, priority) in enumerate(
            [("a", 1.0, 0), ("a", 5.0, 0), ("a", 1.0, 3), ("b", 0.5, 0), ("", 1.0, 0), ("", 2.0, -11)]
        )
    ]
    queue, waiting, admitted = WaitingQueue(0.05), [], []
    for _ in range(data.draw(st.integers(1, 60))):
        match data.draw(st.sampled_from(("join", "join", "next", "leave", "displace", "within", "correct"))):
            case "join":
                who = data.draw(st.sampled_from(principals))
                waiting.append(join(queue, who, loop, data.draw(st.integers(1, 1000))))
            case "next" if waiting:
                waiter = queue.next()
                waiting.remove(waiter)
                admitted.append(waiter)
            case "leave" if waiting:
                waiter = waiting.pop(data.draw(st.integers(0, len(waiting) - 1)))
                assert queue.leave(waiter)
                assert not queue.leave(waiter)
            case "displace" | "within" as how:
                who = data.draw(st.sampled_from(principals))
                out = queue.displace(who) if how == "displace" else queue.displace_within(who)
                if out is not None:
                    waiting.remove(out)
                    assert how == "displace" or out.principal.owner == who.owner
            case "correct" if admitted:
                queue.correct(admitted.pop(), data.draw(st.integers(0, 2000)))
        who = data.draw(st.sampled_from(principals))
        assert 0 <= queue.ahead_of(who) <= queue.waiting
        assert (queue.waiting, queue.tokens) == (len(waiting), len(waiting))
        for class_ in queue._classes.values():
            assert class_.weights == pytest.approx(sum(o.counted for o in class_._owners.flows.values()))
    while queue.waiting:
        waiting.remove(queue.next())
    assert not waiting
    assert all(not class_._owners.flows for class_ in queue._classes.values())


async def test_an_owner_at_its_share_makes_way_among_its_own_keys_and_takes_no_place_of_others(make_call) -> None:
    """Four keys of one owner fill the queue: neither the other owner's waiting call nor its newcomer is refused."""
    queue = FairQueue(Queue(max_waiting=16))
    await queue.enter(make_call(key("many"), places=1))
    other = asyncio.create_task(queue.enter(make_call(key("one"), places=1)))
    await asyncio.sleep(0)
    crowd = [asyncio.create_task(queue.enter(make_call(key("many", n % 4), places=1))) for n in range(200)]
    for _ in range(3):
        await asyncio.sleep(0)
    again = asyncio.create_task(queue.enter(make_call(key("one"), places=1)))
    fresh = asyncio.create_task(queue.enter(make_call(key("many", 99), places=1)))
    for _ in range(3):
        await asyncio.sleep(0)
    assert not other.done()
    assert not again.done()
    assert not fresh.done()  # a key of the crowd that had nothing yet displaced another of its owner's
    refused = [task for task in crowd if task.done()]
    assert len(refused) >= 200 - 16
    assert all(isinstance(task.exception(), Overloaded) for task in refused)
    assert queue._lanes["m", False].queue.waiting <= 16
    for task in (other, again, fresh, *crowd):
        task.cancel()
    await asyncio.gather(other, again, fresh, *crowd, return_exceptions=True)

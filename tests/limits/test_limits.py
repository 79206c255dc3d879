from __future__ import annotations

import random

import pytest

from hyperllama.config import Allowance, Limits
from hyperllama.errors import RateLimited
from hyperllama.generation import Usage
from hyperllama.identity import Principal
from hyperllama.limits import allowances
from hyperllama.limits.rate_limits import RateLimits
from hyperllama.spi import Call


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


async def test_no_limits_means_no_headers_and_nothing_to_settle(make_call) -> None:
    call = make_call()
    await RateLimits(Limits()).enter(call)
    assert call.headers == {}
    assert call.on_finish == []


async def test_requests_per_minute_are_counted_by_key_and_come_back(make_call, clock) -> None:
    gate = RateLimits(Limits(key=Allowance(requests="2/minute")), clock=clock)
    await gate.enter(make_call("a"))
    second = make_call("a")
    await gate.enter(second)
    assert second.headers["x-ratelimit-limit-requests"] == "2"
    assert second.headers["x-ratelimit-remaining-requests"] == "0"
    assert second.headers["x-ratelimit-reset-requests"] == "1m1s"
    await gate.enter(make_call("b"))
    with pytest.raises(RateLimited, match="2 requests per minute") as refused:
        await gate.enter(make_call("a"))
    assert refused.value.headers["x-ratelimit-remaining-requests"] == "0"
    clock.now += refused.value.retry_after
    await gate.enter(make_call("a"))


async def test_tokens_are_set_aside_before_and_settled_after(make_call, end, clock) -> None:
    gate = RateLimits(Limits(key=Allowance(tokens="100/minute")), clock=clock)
    first = make_call(prompt="x" * 40, max_tokens=60)  # 10 and 60
    await gate.enter(first)
    assert first.headers["x-ratelimit-remaining-tokens"] == "30"
    with pytest.raises(RateLimited):
        await gate.enter(make_call(prompt="x" * 40, max_tokens=60))
    await end(first, usage=Usage(12, 8))
    second = make_call(prompt="x" * 40, max_tokens=60)
    await gate.enter(second)
    assert second.headers["x-ratelimit-remaining-tokens"] == "10"


@pytest.mark.parametrize(
    ("outcome", "submitted", "first", "tokens", "left"),
    [
        ("refused", 0, 0, 0, 100),  # by the queue, by the engine
        ("cancelled", 0, 0, 0, 100),  # left while it waited
        ("cancelled", 1, 0, 0, 90),  # left while the prompt was read
        ("cancelled", 1, 1, 7, 83),
        ("failed", 1, 0, 0, 100),  # the engine's fault
        ("failed", 1, 1, 7, 83),
    ],
)
async def test_a_call_without_an_end_pays_for_what_it_used(
    make_call, end, clock, outcome, submitted, first, tokens, left
) -> None:
    gate = RateLimits(Limits(key=Allowance(tokens="100/minute", concurrent=1)), clock=clock)
    call = make_call(prompt="x" * 40, max_tokens=60)
    await gate.enter(call)
    call.submitted, call.first, call.tokens = submitted, first, tokens
    await end(call, outcome)
    probe = make_call(prompt="x", max_tokens=0)
    await gate.enter(probe)
    assert probe.headers["x-ratelimit-remaining-tokens"] == str(left - 1)


async def test_a_refused_call_is_not_counted_as_a_request(make_call, end, clock) -> None:
    gate = RateLimits(Limits(key=Allowance(requests="1/hour")), clock=clock)
    call = make_call()
    await gate.enter(call)
    await end(call, "refused")
    await gate.enter(make_call())


async def test_concurrent_calls_give_their_seat_back_however_they_end(make_call, end, clock) -> None:
    gate = RateLimits(Limits(key=Allowance(concurrent=1)), clock=clock)
    for outcome in ("finished", "failed", "cancelled", "refused"):
        call = make_call()
        await gate.enter(call)
        clock.now += 4
        with pytest.raises(RateLimited, match="same time") as refused:
            await gate.enter(make_call())
        assert refused.value.retry_after > 0
        await end(call, outcome)


async def test_a_request_larger_than_its_limit_is_told_so_and_not_to_wait(make_call, clock) -> None:
    gate = RateLimits(Limits(key=Allowance(tokens="50/minute")), clock=clock)
    with pytest.raises(RateLimited, match="too large") as refused:
        await gate.enter(make_call(max_tokens=60))
    assert refused.value.retry_after is None
    await gate.enter(make_call(max_tokens=None))  # our own guess never makes one impossible


async def test_keys_of_one_owner_and_addresses_of_one_network_share(make_call, clock) -> None:
    limits = Limits(owner=Allowance(requests="2/minute"), network=Allowance(requests="3/minute"))
    gate = RateLimits(limits, clock=clock)
    await gate.enter(make_call(Principal(id="a", owner="acme", network="2001:db8::1")))
    await gate.enter(make_call(Principal(id="b", owner="acme", network="2001:db8::2")))
    with pytest.raises(RateLimited, match="this account"):
        await gate.enter(make_call(Principal(id="c", owner="acme", network="192.0.2.1")))
    await gate.enter(make_call(Principal(id="d", network="2001:db8::ffff:3")))
    with pytest.raises(RateLimited, match="network address"):
        await gate.enter(make_call(Principal(id="e", network="2001:db8::4")))


async def test_a_thousand_forwarded_addresses_buy_a_key_nothing(make_call, clock) -> None:
    gate = RateLimits(Limits(key=Allowance(requests="5/minute")), clock=clock)
    admitted = 0
    for number in range(1000):
        try:
            await gate.enter(make_call(Principal(id="a", network=f"10.0.{number // 256}.{number % 256}")))
            admitted += 1
        except RateLimited:
            pass
    assert admitted == 5


async def test_models_are_limited_for_everybody_and_for_each_key(make_call, clock) -> None:
    limits = Limits(
        models={"big-*": Allowance(requests="3/minute")}, key_models={"big-*": Allowance(requests="2/minute")}
    )
    gate = RateLimits(limits, clock=clock)
    await gate.enter(make_call("a", model="big-1"))
    await gate.enter(make_call("a", model="big-1"))
    with pytest.raises(RateLimited, match="this key and model 'big-1'"):
        await gate.enter(make_call("a", model="big-1"))
    await gate.enter(make_call("b", model="big-1"))
    with pytest.raises(RateLimited, match="for model 'big-1'"):
        await gate.enter(make_call("c", model="big-1"))
    await gate.enter(make_call("a", model="small"))


async def test_a_keys_own_table_stands_over_its_tier_and_its_tier_over_the_default(make_call, clock) -> None:
    limits = Limits(key=Allowance(requests="1/minute"), tiers={"gold": Allowance(requests="3/minute", concurrent=9)})
    gold = Principal(id="g", limits={"tier": "gold"})
    own = Principal(id="o", limits={"tier": "gold", "requests": "2/minute"})
    assert allowances.key_allowance(gold, limits) == Allowance(requests="3/minute", concurrent=9)
    assert allowances.key_allowance(own, limits) == Allowance(requests="2/minute", concurrent=9)
    lost = Principal(id="l", limits={"tier": "none", "requests": "junk"})
    assert allowances.key_allowance(lost, limits) == limits.key


async def test_changing_a_keys_limits_takes_effect_at_once_and_keeps_what_was_used(make_call, clock) -> None:
    gate = RateLimits(Limits(), clock=clock)
    await gate.enter(make_call(Principal(id="a", limits={"requests": "5/minute"})))
    with pytest.raises(RateLimited):
        await gate.enter(make_call(Principal(id="a", limits={"requests": "1/minute"})))
    gate.reload(Limits(key=Allowance(requests="2/minute")))
    await gate.enter(make_call("a"))
    with pytest.raises(RateLimited):
        await gate.enter(make_call("a"))


async def test_a_random_history_never_exceeds_any_window_and_leaks_nothing(make_call, end, clock) -> None:
    """Reserve, settle, refund over three windows at once, with every way a call can end."""
    rng = random.Random(7)
    limits = Limits(key=Allowance(tokens=("300/10 second", "900/minute"), requests="40/minute", concurrent=5))
    gate = RateLimits(limits, clock=clock)
    running: list[tuple[Call, float, int]] = []
    used: list[tuple[float, int]] = []
    refused = 0
    for _ in range(2000):
        clock.now += rng.expovariate(4)
        if running and (rng.random() < 0.5 or len(running) > 4):
            call, entered, asked = running.pop(rng.randrange(len(running)))
            outcome = rng.choice(("finished", "cancelled", "failed"))
            tokens = rng.randint(0, asked)
            call.submitted = call.first = 1
            call.tokens = tokens
            await end(call, outcome, Usage(10, tokens) if outcome == "finished" else None)
            used.append((entered, 10 + tokens))
            continue
        asked = rng.randint(1, 90)
        call = make_call(prompt="x" * 40, max_tokens=asked)
        try:
            await gate.enter(call)
        except RateLimited:
            refused += 1
            continue
        running.append((call, clock.now, asked))
    for seconds, limit in ((10, 300), (60, 900)):
        for start, _ in used:
            assert sum(tokens for at, tokens in used if start <= at < start + seconds) <= limit
    assert refused > 100
    for call, _, _ in running:
        await end(call, "refused")
    clock.now += 62
    assert all(gate._local.used(key, clock.now) == 0 for key in gate._local._windows)
    assert all(pool.held == 0 for pool in gate._local._pools.values())

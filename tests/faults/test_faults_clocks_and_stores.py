"""What the gateway leans on gives way: its clock jumps, its database is away. (Redis: test_faults_shared_limits.)"""

from __future__ import annotations

import time

import pytest

from hyperllama.auth.authenticator import Authenticator
from hyperllama.config import Allowance, Config, Keys, Limits, Store
from hyperllama.database.key_store import Key
from hyperllama.errors import RateLimited, Unavailable
from hyperllama.limits.rate_limits import RateLimits
from tests.support.live import chat, unchunked, until, whole


async def test_r33_a_wall_clock_that_jumps_an_hour_neither_locks_out_nor_refills(make_call, bar, monkeypatch) -> None:
    gate = RateLimits(Limits(key=Allowance(requests="2/minute")))
    wall = time.time
    await gate.enter(make_call())
    await gate.enter(make_call())
    for jump in (3600.0, -3600.0):
        monkeypatch.setattr(time, "time", lambda jump=jump: wall() + jump)
        with pytest.raises(RateLimited) as refused:
            await gate.enter(make_call())
        assert 0 < refused.value.retry_after <= 61
    bar.record("a limit of 2 a minute stays one", rounds=2)


async def test_r33_a_running_gateway_survives_a_wall_clock_that_jumps(serving, bar, monkeypatch) -> None:
    live = serving(
        """
[models.sim]
engine = "sim"
[models.sim.options]
tokens_per_second = 200
answer_tokens = 20
[limits.key]
requests = "3/minute"
"""
    )
    wall = time.time
    body = chat("sim", stream=False)
    assert live.ask("/api/chat", body)[0] == 200
    client = live.post("/api/chat", chat("sim"))
    got = until(client, b'"content"')
    monkeypatch.setattr(time, "time", lambda: wall() - 3600)
    last = unchunked(whole(client, got).partition(b"\r\n\r\n")[2]).splitlines()[-1]
    assert b'"done":true' in last
    for name in (b"total_duration", b"load_duration", b"prompt_eval_duration", b"eval_duration"):
        assert b'"%s":-' % name not in last
    assert live.ask("/v1/chat/completions", body)[0] == 200
    for jump in (-3600, 3600, 7200):
        monkeypatch.setattr(time, "time", lambda jump=jump: wall() + jump)
        status, headers, _ = live.ask("/v1/chat/completions", body)
        assert status == 429
        assert 1 <= int(headers["retry-after"]) <= 61
    assert live.app.pipeline.live == 0
    bar.record("Retry-After of 61 s at most, no negative duration", rounds=4)


async def test_r14_without_its_database_a_key_is_believed_for_its_time_and_then_refused(
    database, sent, tmp_path, bar, monkeypatch
) -> None:
    now = [0.0]
    config = Config(store=Store(path=str(tmp_path)), keys=Keys(cache=30.0))
    async with Authenticator(config, database, others=False) as open_door:
        keyring = open_door.key_cache
        keyring._clock = lambda: now[0]
        store = await keyring.store()
        issued = await store.create(Key(name="ci"), actor="test")
        await keyring._look()
        await open_door.authenticate(sent(issued.secret))

        async def away(*_: object) -> None:
            raise OSError

        monkeypatch.setattr(store, "find", away)
        monkeypatch.setattr(store, "revision", away)
        await keyring._look()
        assert await open_door.authenticate(sent(issued.secret)) is not None
        now[0] += 31
        with pytest.raises(Unavailable):
            await open_door.authenticate(sent(issued.secret))
        with pytest.raises(Unavailable):
            await open_door.authenticate(sent("hlg_" + "x" * 43))
    bar.record("a known key for 30 s, then nobody", rounds=3)

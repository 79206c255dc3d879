"""Keys: compared without telling how near they were, and kept as digests only."""

from __future__ import annotations

import asyncio
import hashlib
import math
import random
import secrets
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from hyperllama.auth.grants import StaticKeys
from hyperllama.config import StaticKey
from hyperllama.identity import Credentials
from tests.support.live import asked, keys


def _welch(one: list[float], other: list[float]) -> float:
    """Of the faster nine tenths of each: what the machine did meanwhile is no part of the comparison."""
    cut = sorted(one + other)[int(0.9 * (len(one) + len(other)))]
    a, b = ([value for value in values if value <= cut] for values in (one, other))
    spread = statistics.variance(a) / len(a) + statistics.variance(b) / len(b)
    return (statistics.fmean(a) - statistics.fmean(b)) / math.sqrt(spread)


def _times(check: Callable[[str], object], near: list[str], far: list[str], rng: random.Random) -> float:
    samples: dict[bool, list[float]] = {True: [], False: []}
    work = [(True, key) for key in near] + [(False, key) for key in far]
    rng.shuffle(work)
    for kind, key in work:
        began = time.perf_counter_ns()
        check(key)
        samples[kind].append(float(time.perf_counter_ns() - began))
    return _welch(samples[True], samples[False])


@pytest.mark.nightly  # a neighbour's load shows in it
@pytest.mark.parametrize("count", [20_000])
def test_s15_comparing_keys_tells_nothing_of_how_near_they_were(count: int, bar: Any) -> None:
    rng = random.Random(15)
    right = "hlg_" + secrets.token_urlsafe(32)
    hashed = "sha256:" + hashlib.sha256(right.encode()).hexdigest()
    known = StaticKeys({"k": StaticKey(hash=hashed)})

    def check(token: str) -> None:
        coroutine = known.authenticate(Credentials(token=token, headers={}, client="127.0.0.1"))
        try:
            coroutine.send(None)
        except StopIteration as stop:
            assert stop.value is None

    near, far = [], []
    for _ in range(count):  # in turns: the lists are alike in all but what is compared
        near.append(right[:-8] + secrets.token_urlsafe(6))
        far.append("hlg_" + secrets.token_urlsafe(32))
    t = min(abs(_times(check, near, far, rng)) for _ in range(3))

    def naive(token: str) -> bool:
        return all(one == other for one, other in zip(token, right, strict=True))

    leaky = abs(_times(naive, near, far, rng))
    assert leaky > 4.5, "the control: a comparison that stops early must show"
    assert t < 4.5
    bar.record(f"t = {t:.1f}; a comparison that stops early: {leaky:.0f}", rounds=2 * count)


def test_s15_digests_and_odd_keys_are_no_keys(serving: Any, bar: Any) -> None:
    live = serving('[models.sim]\nengine = "sim"\n' + keys(ci=""))
    digest = hashlib.sha256(b"ci-secret").hexdigest()
    odd = (digest, f"sha256:{digest}", "ké".encode().decode("latin-1"), "x" * 16_000, "ci-secre", "ci-secret ", "\xff")
    for token in odd:
        raw = asked("/v1/models", b"", method="GET").replace(
            b"\r\n\r\n", b"\r\nAuthorization: Bearer " + token.encode("latin-1") + b"\r\n\r\n"
        )
        with live.connect() as one:
            one.sendall(raw)
            status = int(one.recv(4096).split()[1])
        assert status == (200 if token.strip() == "ci-secret" else 401), token[:30]
    assert live.ask("/v1/models", b"", method="GET", authorization="Bearer ci-secret")[0] == 200
    bar.record("401 for the digest and for odd keys", rounds=len(odd))


def test_s15_the_database_holds_no_key(tmp_path: Path, bar: Any) -> None:
    from hyperllama.database.database import Database
    from hyperllama.database.key_store import Key, KeyStore
    from hyperllama.database.pepper import pepper

    async def make() -> list[str]:
        database = Database(tmp_path)
        store = KeyStore(database, pepper(tmp_path))
        made = [(await store.create(Key(name=f"k{n}"), actor="test")).secret for n in range(5)]
        await database.close()
        return made

    made = asyncio.run(make())
    stored = b"".join(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())
    for secret in made:
        raw = secret.removeprefix("hlg_")
        assert len(raw) >= 43  # 256 bits
        assert raw.encode() not in stored
        assert hashlib.sha256(secret.encode()).hexdigest().encode() not in stored  # keyed with the pepper instead
        assert hashlib.sha256(secret.encode()).digest() not in stored
    bar.record("0 of 5 keys in the files", rounds=len(made))

"""Every route that costs an engine work is counted, whoever it is that refuses in the end."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from hyperllama.config import Allowance, Limits
from hyperllama.errors import ContextTooLong, Overloaded
from hyperllama.limits.rate_limits import RateLimits
from hyperllama.pipeline import auxiliary
from hyperllama.pipeline.auxiliary import AuxiliaryPlaces

CONFIG = """
[models.sim]
engine = "sim"
max_length = 64
[models.sim.options]
answer_tokens = 2
context_length = 64
embedding = 8
[plugins]
enabled = ["sim", "openai", "ollama", "anthropic"]
"""
LONG = "word " * 80
TURN = {"role": "user", "content": "hi"}
#: A request of every kind that costs work: path, body, status while it is let in.
ROUTES: dict[str, tuple[str, dict[str, Any], int]] = {
    "tokenize": ("/tokenize", {"prompt": "hi"}, 200),
    "tokenize each": ("/tokenize", {"prompt": "some more words", "return_token_strs": True}, 200),
    "detokenize": ("/detokenize", {"tokens": [1, 2]}, 200),
    "count tokens": ("/v1/messages/count_tokens", {"messages": [TURN]}, 200),
    "input tokens": ("/v1/responses/input_tokens", {"input": "hi"}, 200),
    "too long to compact": ("/v1/responses/compact", {"input": "hi"}, 400),  # with the task
    "no tokens": ("/v1/completions", {"prompt": ["hi", "ho"], "max_tokens": 0}, 200),
    "load": ("/api/generate", {}, 200),
    "load to chat": ("/api/chat", {"messages": []}, 200),
    "load to embed": ("/api/embed", {"input": []}, 200),
    "unload": ("/api/generate", {"keep_alive": 0}, 200),
    "pin": ("/api/generate", {"keep_alive": -1}, 200),
    "debug generate": ("/api/generate", {"prompt": "hi", "_debug_render_only": True}, 200),
    "debug chat": ("/api/chat", {"messages": [TURN], "_debug_render_only": True}, 200),
    "too long chat": ("/v1/chat/completions", {"messages": [{"role": "user", "content": LONG}]}, 400),
    "too long completion": ("/v1/completions", {"prompt": LONG}, 400),
    "too long message": ("/v1/messages", {"max_tokens": 5, "messages": [{"role": "user", "content": LONG}]}, 400),
    "cut to fit": ("/api/chat", {"stream": False, "messages": [{"role": "user", "content": LONG[:400]}, TURN]}, 200),
    "with context": ("/api/generate", {"stream": False, "prompt": "hi", "context": [1, 2]}, 200),
    "chat": ("/v1/chat/completions", {"messages": [TURN]}, 200),
    "embed": ("/v1/embeddings", {"input": "hi"}, 200),
}


@pytest.mark.parametrize(
    ("kind", "limit"),
    [
        *((kind, 'requests = "3/hour"') for kind in ROUTES),
        ("tokenize", "daily_requests = 3"),
        ("pin", "daily_requests = 3"),
        ("too long message", "daily_requests = 3"),
        ("cut to fit", "daily_requests = 3"),
    ],
)
def test_a_limit_of_three_requests_lets_three_in(serving, kind: str, limit: str) -> None:
    """By a rate and by a quota of the ledger; one HTTP request counts once, whatever it makes the engine do."""
    live = serving(f"{CONFIG}\n[limits.key]\n{limit}\n")
    path, body, status = ROUTES[kind]
    found = [live.ask(path, {"model": "sim", **body})[0] for _ in range(5)]
    assert found == [status] * 3 + [429] * 2, kind


def test_every_kind_of_work_counts_once_in_the_ledger(serving) -> None:
    live = serving(CONFIG)
    ledger = live.app.storage.ledger
    live.on_loop(lambda: setattr(ledger, "_wake", asyncio.Event()))  # nothing is written: pending is all there is
    for number, (path, body, status) in enumerate(ROUTES.values(), 1):
        assert live.ask(path, {"model": "sim", **body})[0] == status
        assert live.on_loop(lambda: sum(counts[0] for counts in ledger._pending.values())) == number, path


def test_a_limit_of_calls_at_once_holds_for_work_without_an_answer(serving) -> None:
    """A stream holds the only slot: counting tokens and loading are refused meanwhile, and let in afterwards."""
    live = serving(
        CONFIG.replace("answer_tokens = 2", "answer_tokens = 50\ntokens_per_second = 2")
        + "\n[limits.key]\nconcurrent = 1\n"
    )
    client = live.post("/v1/chat/completions", {"model": "sim", "messages": [TURN], "stream": True})
    live.until(lambda: live.active("sim") == 1)
    for kind in ("tokenize", "detokenize", "count tokens", "input tokens", "no tokens", "load", "unload", "pin"):
        path, body, _ = ROUTES[kind]
        assert live.ask(path, {"model": "sim", **body})[0] == 429, kind
    client.close()
    live.until(lambda: live.active("sim") == 0)
    assert live.ask("/tokenize", {"model": "sim", "prompt": "hi"})[0] == 200
    assert json.loads(live.ask("/v1/models", None, method="GET")[2])["data"]


async def test_tokens_come_back_and_the_request_does_not_when_the_engine_refuses(make_call) -> None:
    gate = RateLimits(Limits(key=Allowance(requests="10/hour", tokens="1000/hour", concurrent=5)))
    for error, loaded, charged in ((ContextTooLong("x"), 1, 1), (Overloaded("x"), 1, 0), (ContextTooLong("x"), 0, 0)):
        call = make_call(prompt="x" * 400)
        await gate.enter(call)
        before = gate._local.used("key:one:requests:3600", gate.clock()) - 1
        call.outcome, call.error, call.loaded = "refused", error, loaded
        await call.finish()
        assert gate._local.used("key:one:requests:3600", gate.clock()) - before == charged
        assert gate._local.used("key:one:tokens:3600", gate.clock()) == 0
        assert gate._local.held("key:one") == 0


async def test_auxiliary_work_is_bounded_by_model_and_by_tenant(monkeypatch: pytest.MonkeyPatch) -> None:
    places = AuxiliaryPlaces()
    done = asyncio.Event()
    running: list[tuple[str, str]] = []
    worst: dict[str, int] = {}

    async def work(model: str, tenant: str) -> None:
        async with places.place(model, tenant):
            running.append((model, tenant))
            for name in (model, tenant):
                worst[name] = max(worst.get(name, 0), sum(name in each for each in running))
            await done.wait()
            running.remove((model, tenant))

    tasks = [asyncio.create_task(work("m", f"t{n % 5}")) for n in range(100)]
    tasks += [asyncio.create_task(work("other", "t0")) for _ in range(5)]
    await asyncio.sleep(0.01)
    assert len(running) <= 2 * auxiliary.PER_MODEL
    tasks[0].cancel()  # one that works, and one that waits
    tasks[99].cancel()
    done.set()
    await asyncio.gather(*tasks, return_exceptions=True)
    assert worst["m"] <= auxiliary.PER_MODEL
    assert all(worst[f"t{n}"] <= auxiliary.PER_TENANT for n in range(5))
    assert (places._tenants, places._models) == ({}, {})


async def test_waiting_for_a_place_is_bounded_in_number_and_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(auxiliary, "WAITING", 3)
    monkeypatch.setattr(auxiliary, "TIMEOUT", 0.05)
    places, done = AuxiliaryPlaces(), asyncio.Event()

    async def work() -> None:
        async with places.place("m", "t"):
            await done.wait()

    tasks = [asyncio.create_task(work()) for _ in range(auxiliary.PER_TENANT + 3)]
    await asyncio.sleep(0)
    with pytest.raises(Overloaded):
        await work()
    _, late = await asyncio.wait(tasks, timeout=0.5)
    assert len(late) == auxiliary.PER_TENANT
    done.set()
    assert sorted(type(each).__name__ for each in await asyncio.gather(*tasks, return_exceptions=True)) == [
        *["NoneType"] * auxiliary.PER_TENANT,
        *["Overloaded"] * 3,
    ]
    assert (places._tenants, places._models) == ({}, {})

"""A Hub that is slow: pulls that wait for it delay nothing else, and all of them end."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.support import live
from tests.support.hub_server import LoopbackHub, loopback_hub

KEY = {"authorization": "Bearer root-secret"}
RIGHTS = 'permissions = ["infer", "models:read", "models:write"]'
PULLS = 6  # more than run at once
WEIGHTS = b"\x02\0\0\0\0\0\0\0{}" + b" " * 100_000
CONFIG = b'{"architectures": ["SimForCausalLM"], "model_type": "sim"}'


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[LoopbackHub]:
    repos = {f"org/m{n}": {f"model-{n}.safetensors": WEIGHTS + bytes([n]), "config.json": CONFIG} for n in range(PULLS)}
    with loopback_hub(repos) as made:
        for n in range(PULLS):
            made.hold[f"model-{n}.safetensors"] = threading.Event()
        monkeypatch.setenv("HF_ENDPOINT", made.url)
        yield made


def test_six_slow_pulls_delay_nothing_else(hub: LoopbackHub, serving: Callable[..., Any]) -> None:
    gateway = serving(
        '[models.sim]\nengine = "sim"\n[models.cold]\nengine = "sim"\n[store]\nhub_timeout = 30\n'
        + live.keys(root=RIGHTS)
    )
    pulls = [gateway.post("/api/pull", {"model": f"org/m{n}"}, **KEY) for n in range(PULLS)]
    try:
        gateway.until(lambda: sum(path.endswith(".safetensors") for _, path, _ in hub.requests) >= 4, 20)
        assert gateway.ask("/v1/chat/completions", live.chat("cold"), **KEY)[0] == 200  # a load, and the key is checked
        assert gateway.ask("/v1/chat/completions", live.chat("sim", "a" * 300 * 1024), **KEY)[0] in (200, 400)
        assert gateway.ask("/v1/files", None, method="GET", **KEY)[0] == 200
        assert gateway.ask("/v1/files", None, method="GET", authorization="Bearer hl-wrong")[0] == 401
        assert not any(hold.is_set() for hold in hub.hold.values())  # every pull still waits
    finally:
        for hold in hub.hold.values():
            hold.set()
    for pull in pulls:
        status, _, body = live.answer(pull)
        lines = [json.loads(line) for line in body.splitlines()]
        assert status == 200
        assert all("digest" in line or "Hub" not in line.get("error", "") for line in lines)
        assert any(line.get("completed", 0) > len(WEIGHTS) for line in lines), lines[-1]  # all of its file came

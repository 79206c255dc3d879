"""An engine host that dies: its clients are told in their dialect, the others never notice, the model comes back."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Any

import httpx
import psutil
import pytest

CONFIG = """
[server]
port = 0
[models.frail]
engine = "sim"
preload = true
[models.frail.options]
placement = "host"
tokens_per_second = 50
answer_tokens = 2000
[models.sound]
engine = "sim"
preload = true
[models.sound.options]
tokens_per_second = 50
answer_tokens = 100
"""


def host_of(gateway: Any) -> psutil.Process:
    """The one host there is: sound runs in the gateway's own process."""
    (found,) = [process for process in gateway.tree()[1:] if "hyperllama.host" in " ".join(process.cmdline())]
    return found


def error_of(path: str, last: str) -> str:
    if path.startswith("/api"):
        line = json.loads(last)
        assert list(line) == ["error"]
        return str(line["error"])
    event = json.loads(last.removeprefix("data: "))
    assert list(event) == ["error"]
    return str(event["error"]["message"])


@pytest.mark.parametrize("path", ["/api/chat", "/v1/chat/completions"])
def test_a_death_mid_stream_is_one_well_formed_error_and_the_model_comes_back(
    path: str, start: Callable[..., Any]
) -> None:
    gateway = start(CONFIG)
    gateway.wait_ready(60)
    body = {"messages": [{"role": "user", "content": "hi"}], "stream": True}
    with (
        httpx.stream("POST", f"{gateway.url}{path}", json={**body, "model": "frail"}, timeout=30) as dying,
        httpx.stream("POST", f"{gateway.url}{path}", json={**body, "model": "sound"}, timeout=30) as living,
    ):
        broken, whole = dying.iter_lines(), living.iter_lines()
        next(broken)
        next(whole)
        host_of(gateway).kill()
        killed = time.monotonic()
        lines = [line for line in broken if line]
        assert time.monotonic() - killed < 5
        assert error_of(path, lines[-1])
        assert "[DONE]" not in lines[-1]
        rest = [line for line in whole if line]
    assert rest[-1] == "data: [DONE]" or json.loads(rest[-1])["done"] is True
    again = {**body, "model": "frail", "stream": False, "max_tokens": 3, "options": {"num_predict": 3}}
    assert httpx.post(f"{gateway.url}{path}", json=again, timeout=30).status_code == 200
    assert not any(process.status() == psutil.STATUS_ZOMBIE for process in gateway.tree())

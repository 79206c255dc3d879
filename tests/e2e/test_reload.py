"""A changed configuration file is taken on by the running gateway, whole or not at all."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable
from typing import Any

import httpx

CONFIG = """
[server]
port = 0
[models.sim]
engine = "sim"
[models.sim.options]
tokens_per_second = 20
answer_tokens = 60
"""
MORE = (
    CONFIG
    + """
[models.added]
engine = "sim"
[limits.key]
requests = "2/minute"
"""
)


def wait_for_log(gateway: Any, text: str) -> None:
    deadline = time.monotonic() + 20
    while text not in gateway.log():
        assert time.monotonic() < deadline, gateway.log()
        time.sleep(0.02)


def write(gateway: Any, text: str) -> None:
    (gateway.folder / "config.toml").write_text(text)


def ask(gateway: Any, model: str) -> httpx.Response:
    body = {"model": model, "messages": [{"role": "user", "content": "hi"}], "max_tokens": 1}
    return httpx.post(f"{gateway.url}/v1/chat/completions", json=body)


def wait_for_act(gateway: Any, outcome: str) -> dict[str, Any]:
    """The newest act on record, once it ended so."""
    deadline = time.monotonic() + 20
    while True:
        acts = httpx.get(f"{gateway.url}/admin/v1/audit?act=config.reload").json()["acts"]
        if acts and acts[0]["outcome"] == outcome:
            return acts[0]
        assert time.monotonic() < deadline, acts
        time.sleep(0.05)


def test_a_change_is_taken_on_and_running_requests_do_not_notice(start: Callable[..., Any]) -> None:
    gateway = start(CONFIG)
    body = {"model": "sim", "messages": [{"role": "user", "content": "hi"}], "stream": True}
    with httpx.stream("POST", f"{gateway.url}/api/chat", json=body, timeout=30) as response:
        lines = response.iter_lines()
        next(lines)
        write(gateway, MORE)
        wait_for_log(gateway, "configuration applied")
        assert ask(gateway, "added").status_code == 200
        assert '"done":true' in list(lines)[-1]
    assert "models.added" in gateway.log()
    statuses = [ask(gateway, "added").status_code for _ in range(4)]
    assert 429 in statuses
    assert wait_for_act(gateway, "done")["detail"]["changed"] == ["models.added", "limits.key"]


def test_a_bad_file_changes_nothing(start: Callable[..., Any]) -> None:
    gateway = start(CONFIG)
    write(gateway, MORE + "[serverr]\n")
    gateway.process.send_signal(signal.SIGHUP)
    wait_for_log(gateway, "did you mean 'server'?")
    assert ask(gateway, "added").status_code == 404
    assert ask(gateway, "sim").status_code == 200
    assert "serverr" in wait_for_act(gateway, "refused")["detail"]["reason"]


def test_what_needs_a_restart_is_refused_as_a_whole(start: Callable[..., Any]) -> None:
    gateway = start(CONFIG)
    write(gateway, MORE.replace("port = 0", "port = 1"))
    gateway.process.send_signal(signal.SIGHUP)
    wait_for_log(gateway, "server.port: Needs a restart")
    assert ask(gateway, "added").status_code == 404


def test_a_model_that_is_taken_out_finishes_what_it_does(start: Callable[..., Any]) -> None:
    gateway = start(MORE.replace('[limits.key]\nrequests = "2/minute"', ""))
    body = {"model": "sim", "messages": [{"role": "user", "content": "hi"}], "stream": True}
    with httpx.stream("POST", f"{gateway.url}/api/chat", json=body, timeout=30) as response:
        lines = response.iter_lines()
        next(lines)
        write(gateway, '[server]\nport = 0\n[models.added]\nengine = "sim"\n')
        wait_for_log(gateway, "configuration applied")
        assert ask(gateway, "sim").status_code == 404
        assert '"done":true' in list(lines)[-1]
    wait_for_log(gateway, '"model":"sim","event":"model unloaded"')

"""A client that leaves cancels its work: streamed or not, queued or loading, by FIN or by RST."""

from __future__ import annotations

import json
import re
import socket
import struct
import time
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from tests.support.gateways import Gateway

CONFIG = """
[server]
port = 0
[models.slow]
engine = "sim"
max_batch_size = 1
[models.slow.options]
tokens_per_second = 20
answer_tokens = 2000
[models.cold]
engine = "sim"
[models.cold.options]
load_seconds = 1000
"""


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """One gateway for all: what is counted since its start is compared with what it was before."""
    running = Gateway.launch(tmp_path_factory.mktemp("leaving"), CONFIG)
    running.wait_listening()
    yield running
    running.stop()


def send(gateway: Any, path: str, body: dict[str, object]) -> socket.socket:
    raw = json.dumps(body).encode()
    client = socket.create_connection(("127.0.0.1", gateway.port), timeout=30)
    client.sendall(
        f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(raw)}\r\n\r\n".encode()
        + raw
    )
    return client


def leave(client: socket.socket, how: str) -> None:
    if how == "reset":
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    client.close()


def metric(gateway: Any, pattern: str) -> float:
    text = httpx.get(f"{gateway.url}/metrics").text
    return sum(float(value) for value in re.findall(rf"^{pattern} (\S+)$", text, re.MULTILINE))


def wait(gateway: Any, pattern: str, value: float) -> None:
    deadline = time.monotonic() + 60
    while metric(gateway, pattern) != value:
        assert time.monotonic() < deadline, (pattern, value, httpx.get(f"{gateway.url}/metrics").text)


ACTIVE = 'hyperllama_model_active{model="slow"}'
PROMPTS = r"hyperllama_prompt_tokens_total\{[^}]*\}"
CANCELLED = r'hyperllama_requests_total\{[^}]*outcome="cancelled"[^}]*\}'


@pytest.mark.parametrize("how", ["close", "reset"])
@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize("path", ["/v1/chat/completions", "/api/chat"])
def test_leaving_gives_the_place_back(gateway: Gateway, path: str, stream: bool, how: str) -> None:
    before = metric(gateway, CANCELLED)
    body = {"model": "slow", "messages": [{"role": "user", "content": "hi"}], "stream": stream}
    client = send(gateway, path, body)
    if stream:
        assert client.recv(64).startswith(b"HTTP/1.1 200")
    wait(gateway, re.escape(ACTIVE), 1)
    leave(client, how)
    wait(gateway, re.escape(ACTIVE), 0)
    wait(gateway, CANCELLED, before + 1)
    wait(gateway, "hyperllama_generations_running", 0)


def test_leaving_while_queued_costs_the_engine_nothing(gateway: Gateway) -> None:
    before, prompts = metric(gateway, CANCELLED), metric(gateway, PROMPTS)
    body = {"model": "slow", "messages": [{"role": "user", "content": "hi"}], "stream": True}
    first = send(gateway, "/api/chat", body)
    assert first.recv(64).startswith(b"HTTP/1.1 200")
    second = send(gateway, "/api/chat", body)
    third = send(gateway, "/v1/chat/completions", body)
    leave(second, "close")
    leave(third, "reset")
    wait(gateway, CANCELLED, before + 2)
    assert metric(gateway, re.escape(ACTIVE)) == 1
    assert metric(gateway, PROMPTS) == prompts
    assert first.recv(64)
    first.close()
    wait(gateway, re.escape(ACTIVE), 0)


def test_leaving_while_the_model_loads_is_noticed(gateway: Gateway) -> None:
    before = metric(gateway, CANCELLED)
    client = send(gateway, "/v1/chat/completions", {"model": "cold", "messages": [{"role": "user", "content": "hi"}]})
    wait(gateway, re.escape('hyperllama_model_active{model="cold"}'), 1)
    leave(client, "close")
    wait(gateway, re.escape('hyperllama_model_active{model="cold"}'), 0)
    wait(gateway, CANCELLED, before + 1)


@pytest.mark.parametrize("path", ["/api/chat", "/v1/chat/completions"])
def test_who_does_not_want_to_wait_for_a_cold_model_is_told_how_far_it_is(path: str, gateway: Gateway) -> None:
    body = {"model": "cold", "messages": [{"role": "user", "content": "hi"}]}
    for seconds in ("0", "1"):
        answer = httpx.post(f"{gateway.url}{path}", json=body, headers={"prefer": f"wait={seconds}"}, timeout=30)
        assert answer.status_code == 503
        assert int(answer.headers["retry-after"]) >= 1
        assert re.search(r"is being loaded \((starting|loading), \d+ of about 1000 s\)", answer.text)
    assert '"model":"cold","phase":"starting"' in gateway.log()


def test_leaving_in_the_middle_of_a_body_is_no_error_of_ours(gateway: Gateway) -> None:
    before = gateway.log().count('"status":499')
    for path in ("/api/chat", "/v1/chat/completions"):
        client = socket.create_connection(("127.0.0.1", gateway.port), timeout=30)
        client.sendall(f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\n{{".encode())
        assert httpx.get(f"{gateway.url}/health").status_code == 200
        client.close()
    deadline = time.monotonic() + 60
    while gateway.log().count('"status":499') < before + 2:
        assert time.monotonic() < deadline, gateway.log()
    assert "Traceback" not in gateway.log()

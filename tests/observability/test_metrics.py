"""Every family that `/metrics` shows moves for its cause, and clients add no label to any."""

from __future__ import annotations

import json
import os
import re
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.support import live

CONFIG = """
[server]
max_header_bytes = 4096
[models.sim]
engine = "sim"
max_batch_size = 1
[models.sim.options]
placement = "host"
tokens_per_second = 50
answer_tokens = 500
embedding = 4
[models.late]
engine = "sim"
[models.late.options]
ttft_ms = 600000
[models.cold]
engine = "sim"
[models.cold.options]
load_seconds = 1000
[models.broken]
engine = "sim"
[models.broken.options]
fail_load = "no such luck"
"""


@pytest.fixture
def gateway(tmp_path: Path) -> Iterator[Any]:
    running = live.Live(CONFIG, tmp_path)
    yield running
    running.stop()


def scrape(gateway: Any) -> dict[str, float]:
    """Series and their values, over the wire."""
    status, headers, body = gateway.ask("/metrics", b"", method="GET")
    assert (status, headers["content-type"]) == (200, "text/plain; version=0.0.4; charset=utf-8")
    found = re.findall(r"^(hyperllama_\S*|process_\S*) (\S+)$", body.decode(), re.MULTILINE)
    return {name: float(value) for name, value in found}


def test_calls_and_their_times_are_counted(gateway: Any) -> None:
    assert gateway.ask("/v1/chat/completions", live.chat("sim", stream=False, max_tokens=5))[0] == 200
    assert gateway.ask("/v1/embeddings", {"model": "sim", "input": ["a", "b", "c"]})[0] == 200
    assert gateway.ask("/v1/chat/completions", live.chat("sim", "word " * 5000))[0] == 400
    found = scrape(gateway)
    of = 'model="sim",protocol="openai"'
    assert found['hyperllama_requests_total{model="sim",outcome="finished",protocol="openai",reason=""}'] == 2
    refused = 'model="sim",outcome="refused",protocol="openai",reason="context_length_exceeded"'
    assert found[f"hyperllama_requests_total{{{refused}}}"] == 1
    assert found[f"hyperllama_completion_tokens_total{{{of}}}"] == 5
    assert found[f"hyperllama_prompt_tokens_total{{{of}}}"] > 3
    assert f"hyperllama_cached_tokens_total{{{of}}}" in found
    for name, count in (("queue", 3), ("load_wait", 3), ("request", 2), ("time_to_first_token", 1), ("inter_token", 1)):
        assert found[f"hyperllama_{name}_seconds_count{{{of}}}"] == count, name
        assert found[f"hyperllama_{name}_seconds_sum{{{of}}}"] > 0, name
    assert found[f"hyperllama_time_to_first_token_seconds_sum{{{of}}}"] + 0.05 > 0.05
    assert found[f'hyperllama_inter_token_seconds_bucket{{le="5.0",{of}}}'] == 1
    assert found["hyperllama_overhead_seconds_count"] == 2
    assert 0 < found["hyperllama_overhead_seconds_sum"] < 60
    assert found['hyperllama_responses_total{status="200"}'] == 2
    assert found['hyperllama_responses_total{status="400"}'] == 1
    assert found["hyperllama_embed_batches_total"] == 1
    assert found["hyperllama_embed_batch_inputs_total"] == 3
    assert found["process_cpu_seconds_total"] > 0


def test_the_queue_the_batch_and_where_clients_left_are_shown(gateway: Any) -> None:
    first = gateway.chat("sim")
    live.until(first, b"data: ")
    waiting, late, cold = gateway.chat("sim"), gateway.chat("late"), gateway.chat("cold")
    gateway.until(lambda: gateway.app.limits.queue.states()[0].waiting == 1)
    gateway.until(lambda: gateway.active("late") == 1 and gateway.active("cold") == 1)
    gateway.until(lambda: gateway.app.pipeline.live == 2)
    found = scrape(gateway)
    assert found['hyperllama_queue_waiting{kind="generation",model="sim"}'] == 1
    assert found['hyperllama_queue_waiting_tokens{kind="generation",model="sim"}'] > 0
    assert found['hyperllama_batch_running{kind="generation",model="sim"}'] == 1
    assert found['hyperllama_batch_places{kind="generation",model="sim"}'] == 1
    assert found["hyperllama_generations_running"] == 2
    assert found['hyperllama_model_active{model="sim"}'] == 1
    assert found["hyperllama_connections"] == 5
    for client in (first, waiting, late, cold):
        live.leave(client, "close")
    gateway.until(lambda: not any(gateway.active(name) for name in ("sim", "late", "cold")))
    gateway.until(lambda: len(gateway.guard.connections) == 0)
    found = scrape(gateway)
    for model, place in (("sim", "stream"), ("sim", "queue"), ("late", "engine"), ("cold", "load")):
        series = f'hyperllama_cancellations_total{{model="{model}",place="{place}",protocol="openai"}}'
        assert found[series] == 1, (model, place)


def test_loads_deaths_and_the_hosts_health_are_shown(gateway: Any) -> None:
    gateway.ask("/api/generate", {"model": "sim"})
    assert gateway.ask("/v1/chat/completions", live.chat("broken", stream=False))[0] == 500
    found = scrape(gateway)
    assert found['hyperllama_model_loaded{model="sim"}'] == 1
    assert found['hyperllama_model_memory_bytes{model="sim"}'] > 0
    assert found['hyperllama_model_loads_total{model="sim",outcome="loaded"}'] == 1
    assert found['hyperllama_model_loads_total{model="broken",outcome="failed"}'] == 1
    assert found['hyperllama_model_load_seconds_total{model="sim"}'] > 0
    assert 0 <= found['hyperllama_engine_silent_seconds{model="sim"}'] < 60
    os.kill(gateway.engine("sim").pid, signal.SIGKILL)
    gateway.until(lambda: gateway.app.catalog.find("sim").history.loads == 2)
    found = scrape(gateway)
    assert found['hyperllama_engine_deaths_total{model="sim"}'] == 1
    assert found['hyperllama_model_loads_total{model="sim",outcome="loaded"}'] == 2


def test_batches_are_shown_by_state_and_their_lines_by_outcome(gateway: Any) -> None:
    def asked(name: str, model: str, tokens: int = 1) -> str:
        body = live.chat(model, stream=False, max_tokens=tokens)
        return json.dumps({"custom_id": name, "method": "POST", "url": "/v1/chat/completions", "body": body})

    with httpx.Client(base_url=f"{gateway.url}/v1", timeout=60) as http:

        def begin(*lines: str) -> str:
            files = {"file": ("in.jsonl", "\n".join(lines)), "purpose": (None, "batch")}
            file = http.post("/files", files=files).json()["id"]
            made = {"input_file_id": file, "endpoint": "/v1/chat/completions", "completion_window": "24h"}
            return str(http.post("/batches", json=made).json()["id"])

        assert (
            sum(value for name, value in scrape(gateway).items() if "batch_jobs" in name or "batch_lines" in name) == 0
        )
        begin(asked("a", "sim"), asked("b", "nobody"))
        begin("no JSON")
        gateway.until(lambda: gateway.app.storage.batches.tally.ended["completed"] == 1)
        gateway.until(lambda: gateway.app.storage.batches.tally.ended["failed"] == 1)
        long = begin(asked("long", "late"))
        gateway.until(lambda: gateway.app.storage.batches.tally.open["in_progress"] == 1)
        found = scrape(gateway)
        assert found['hyperllama_batch_jobs{state="in_progress"}'] == 1
        for family, labels in (
            ("batch_lines", {"outcome": ("completed", "failed")}),
            ("batch_jobs_ended", {"state": ("completed", "failed")}),
        ):
            ((label, values),) = labels.items()
            assert [found[f'hyperllama_{family}_total{{{label}="{value}"}}'] for value in values] == [1, 1], family
        http.post(f"/batches/{long}/cancel")
    gateway.until(lambda: gateway.app.storage.batches.tally.ended["cancelled"] == 1)
    gateway.until(lambda: not any(gateway.app.storage.batches.tally.open.values()))
    assert scrape(gateway)['hyperllama_batch_jobs_ended_total{state="cancelled"}'] == 1


def test_what_the_server_turned_away_is_counted(gateway: Any) -> None:
    with gateway.connect() as one:
        one.sendall(b"GET / HTTP/1.1\r\nHost: a\r\nX: " + b"x" * 8000 + b"\r\n\r\n")
        assert b" 431 " in one.recv(4096)
    found = scrape(gateway)
    assert found['hyperllama_connections_refused_total{reason="431"}'] == 1
    assert found["hyperllama_loop_stalls_total"] == 0 or found["hyperllama_loop_lag_seconds"] >= 0
    assert "hyperllama_loop_lag_seconds" in found


def test_nothing_that_clients_send_becomes_a_label(gateway: Any) -> None:
    gateway.ask("/v1/chat/completions", live.chat("sim", stream=False, max_tokens=1))
    before = {re.sub(r"_bucket\{.*", "", name) for name in scrape(gateway)}
    for number in range(20):
        gateway.ask("/v1/chat/completions", live.chat(f"invented-{number}"))
        gateway.ask(f"/invented/{number}", b"", method="GET")
        gateway.ask("/v1/models", b"", method="GET", x_request_id=f"invented-{number}")
    after = scrape(gateway)
    assert "invented" not in "".join(after)
    new = {re.sub(r"_bucket\{.*", "", name) for name in after} - before
    assert all(name.startswith("hyperllama_responses") for name in new), new

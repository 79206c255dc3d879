"""A batch outlives the gateway that ran it, however that one ended."""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import openai

CONFIG = """
[server]
port = 0
[models.sim]
engine = "sim"
max_batch_size = 8
[models.sim.options]
tokens_per_second = 100
"""
LINES = 60


def client_of(gateway: Any) -> openai.OpenAI:
    return openai.OpenAI(base_url=f"{gateway.url}/v1", api_key="none", max_retries=0)


def line(number: int) -> str:
    body = {"model": "sim", "messages": [{"role": "user", "content": f"line {number}"}], "max_tokens": 8}
    return json.dumps({"custom_id": str(number), "method": "POST", "url": "/v1/chat/completions", "body": body})


def sent(gateway: Any) -> int:
    return sum('"path":"/v1/chat/completions"' in entry.replace(" ", "") for entry in gateway.log().splitlines())


def waited_for(client: openai.OpenAI, id: str, seen: Callable[[Any], bool]) -> Any:
    deadline = time.monotonic() + 60
    while not seen(batch := client.batches.retrieve(id)):
        assert time.monotonic() < deadline, batch
        time.sleep(0.1)
    return batch


def test_a_batch_is_gone_on_with_after_kill_9_and_no_done_line_is_run_again(
    tmp_path: Path, start: Callable[..., Any]
) -> None:
    store = tmp_path / "shared"
    first = start(CONFIG, HYPERLLAMA_STORE_PATH=str(store))
    with client_of(first) as client:
        file = client.files.create(file=("in.jsonl", "\n".join(map(line, range(LINES))).encode()), purpose="batch")
        batch = client.batches.create(
            input_file_id=file.id, endpoint="/v1/chat/completions", completion_window="24h", metadata={"a": "b"}
        )
        waited_for(client, batch.id, lambda b: b.request_counts.completed >= 10)
    first.process.kill()
    first.process.wait()
    database = sqlite3.connect(store / "gateway.db")
    done = dict(database.execute("SELECT line, body FROM batch_results"))
    database.close()
    assert 10 <= len(done) < LINES

    second = start(CONFIG, HYPERLLAMA_STORE_PATH=str(store))
    with client_of(second) as client:
        batch = waited_for(client, batch.id, lambda b: b.status == "completed")
        counts = batch.request_counts
        assert (counts.total, counts.completed, counts.failed) == (LINES, LINES, 0)
        results = [json.loads(text) for text in client.files.content(batch.output_file_id).text.splitlines()]
    assert [result["custom_id"] for result in results] == [str(number) for number in range(LINES)]
    for number, body in done.items():
        assert results[number - 1] == json.loads(body)  # what was committed before, not another answer
    assert sent(second) == LINES - len(done)
    assert batch.usage.output_tokens == sum(r["response"]["body"]["usage"]["completion_tokens"] for r in results)
    reply = httpx.get(f"{second.url}/admin/v1/usage?by=model", timeout=30)
    (used,) = reply.json()["lines"]
    booked = (used["requests"], used["prompt_tokens"], used["completion_tokens"])
    assert booked == (LINES, batch.usage.input_tokens, batch.usage.output_tokens), "each line's usage exactly once"


def test_a_stopping_gateway_leaves_its_batch_to_the_next_and_stops_in_time(
    tmp_path: Path, start: Callable[..., Any]
) -> None:
    store = tmp_path / "shared"
    slow = CONFIG.replace("= 100", "= 2").replace("port = 0", "port = 0\ndrain_timeout = 1.0")
    first = start(slow, HYPERLLAMA_STORE_PATH=str(store))
    with client_of(first) as client:
        file = client.files.create(file=("in.jsonl", line(0).encode()), purpose="batch")
        made = {"input_file_id": file.id, "endpoint": "/v1/chat/completions", "completion_window": "24h"}
        batch = client.batches.create(**made)
        waited_for(client, batch.id, lambda b: b.status == "in_progress")
    began = time.monotonic()
    assert first.stop() == 0, first.log()
    assert time.monotonic() - began < 5
    second = start(CONFIG, HYPERLLAMA_STORE_PATH=str(store))
    with client_of(second) as client:
        assert waited_for(client, batch.id, lambda b: b.status == "completed").request_counts.completed == 1

"""The traps of the paths beneath /v1, which the OpenAI and the Anthropic dialect answer on the same port.

Where Ollama's own layer departs from those APIs (it ignores ``n`` and ``tool_choice``, lists no models as null, cuts a
failed stream without a word) the gateway keeps to the APIs; these are what both agree on.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
import zstandard

SAID = [{"role": "user", "content": "weather?"}]
TOOLS = [{"type": "function", "function": {"name": "get_weather", "parameters": {"type": "object"}}}]
V1 = {
    "/v1/chat/completions": {"model": "talker", "messages": SAID, "max_tokens": 2},
    "/v1/completions": {"model": "talker", "prompt": "x", "max_tokens": 2},
    "/v1/embeddings": {"model": "vectors", "input": "x"},
    "/v1/responses": {"model": "talker", "input": "x"},
    "/v1/messages": {"model": "talker", "messages": SAID, "max_tokens": 2},
}


@pytest.fixture
def http(sim_url: str) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=sim_url, timeout=30, trust_env=False) as found:
        yield found


def _events(reply: httpx.Response) -> list[Any]:
    assert reply.status_code == 200
    lines = [line.removeprefix("data: ") for line in reply.text.split("\n") if line.startswith("data: ")]
    return [json.loads(line) if line != "[DONE]" else line for line in lines]


def test_trap_25_openai_streams_end_with_an_empty_delta_the_usage_and_done(http: httpx.Client) -> None:
    body = {"model": "talker", "messages": SAID, "max_completion_tokens": 2, "nobody": "knows", "user": "u"}
    asked = {**body, "stream": True, "stream_options": {"include_usage": True}}
    *_, last, usage, done = _events(http.post("/v1/chat/completions", json=asked))
    assert (last["choices"][0]["delta"], last["choices"][0]["finish_reason"]) == ({}, "length")
    assert (usage["choices"], usage["usage"]["completion_tokens"], done) == ([], 2, "[DONE]")
    plain = _events(http.post("/v1/chat/completions", json={**body, "stream": True}))
    assert all("usage" not in event or event["usage"] is None for event in plain[:-1])


def test_trap_25_openai_calls_are_json_text_and_thinking_has_its_key(http: httpx.Client) -> None:
    asked = {"model": "caller", "messages": SAID, "tools": TOOLS}
    choice = http.post("/v1/chat/completions", json=asked).json()["choices"][0]
    assert choice["finish_reason"] == "tool_calls"
    assert json.loads(choice["message"]["tool_calls"][0]["function"]["arguments"]) == {"city": "Paris"}
    message = http.post("/v1/chat/completions", json={"model": "thinker", "messages": SAID}).json()["choices"][0][
        "message"
    ]
    assert message["reasoning"] and message["content"]
    assert http.post("/v1/chat/completions", json={"model": "talker", "messages": SAID}).status_code == 200  # no stream


def test_trap_25_a_stream_that_fails_is_never_done(http: httpx.Client) -> None:
    events = _events(http.post("/v1/chat/completions", json={"model": "breaking", "messages": SAID, "stream": True}))
    assert "[DONE]" not in events
    assert all(choice["finish_reason"] is None for event in events for choice in event.get("choices", ()))


def test_trap_26_anthropic_streams_begin_with_the_prompt_and_queries_are_ignored(http: httpx.Client) -> None:
    asked = {**V1["/v1/messages"], "stream": True}
    events = _events(http.post("/v1/messages?beta=true", json=asked))
    kinds = [event["type"] for event in events if event["type"] != "ping"]
    assert kinds[0] == "message_start" and kinds[-2:] == ["message_delta", "message_stop"]
    assert events[0]["message"]["content"] == [] and events[0]["message"]["usage"]["input_tokens"] > 0
    assert events[-2]["delta"]["stop_reason"] == "max_tokens"
    missing = http.post("/v1/messages", json={**V1["/v1/messages"], "model": "nope"})
    assert (missing.status_code, missing.json()["type"], missing.json()["error"]["type"]) == (
        404,
        "error",
        "not_found_error",
    )


@pytest.mark.parametrize("path", V1)
def test_trap_27_bodies_may_come_as_zstd_beneath_v1(http: httpx.Client, path: str) -> None:
    """And nowhere else: what the others answer is in golden/router.http, for the guard in front judges it."""
    packed = zstandard.ZstdCompressor().compress(json.dumps(V1[path]).encode())
    assert http.post(path, content=packed, headers={"content-encoding": "zstd"}).status_code == 200
    broken = http.post(path, content=packed[:-3] + b"\0\0\0", headers={"content-encoding": "zstd"})
    assert broken.status_code == 400
    bomb = zstandard.ZstdCompressor().compress(bytes(41 * 2**20))
    assert len(bomb) < 4096
    assert http.post(path, content=bomb, headers={"content-encoding": "zstd"}).status_code == 413


def test_trap_17_thinking_is_asked_in_vain_without_harm_beneath_v1(http: httpx.Client) -> None:
    """On the native routes the same is a 400."""
    asked = {**V1["/v1/messages"], "max_tokens": 2048, "thinking": {"type": "enabled", "budget_tokens": 1024}}
    assert http.post("/v1/messages", json=asked).status_code == 200
    native = http.post("/api/chat", json={"model": "talker", "messages": SAID, "think": True})
    assert (native.status_code, native.json()) == (400, {"error": '"talker" does not support thinking'})

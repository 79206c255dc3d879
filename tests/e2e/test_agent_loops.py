"""Agents that go on for longer than the context holds: on Ollama's routes they lose what is oldest and are answered."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

TOOLS = [
    {
        "type": "function",
        "function": {
            "name": f"get_weather_{number}",
            "description": "Return the weather of a city.",
            "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
        },
    }
    for number in range(8)
]
CALL = {"function": {"name": "get_weather_0", "arguments": {"city": "Paris"}}}
OPTIONS = {"num_predict": 4, "temperature": 0}


def _loop(turns: int) -> list[dict[str, Any]]:
    said: list[dict[str, Any]] = [
        {"role": "system", "content": "You are helpful."},
        {"role": "user", "content": "What is the weather in Paris?"},
    ]
    for turn in range(turns):
        said.append({"role": "assistant", "content": "", "tool_calls": [CALL]})
        said.append({"role": "tool", "tool_name": "get_weather_0", "content": f"Sunny, {turn} degrees, no wind."})
    return said


def _talk(turns: int) -> list[dict[str, Any]]:
    turn = [{"role": "user", "content": "And what then?"}, {"role": "assistant", "content": "Then it is done."}]
    return [*turn * turns, {"role": "user", "content": "What is next?"}]


CHATS = {"loop": _loop(14), "talk": _talk(20), "long loop": _loop(600), "long talk": _talk(1500)}
DEFAULT = {("talk", 0), ("loop", 1), ("loop", 8), ("long loop", 4)}  # the rest is nightly


def _ask(client: httpx.Client, **body: Any) -> int:
    """The prompt's tokens, of a whole answer and of a stream alike."""
    counts = []
    for stream in (False, True):
        reply = client.post("/api/chat", json={"stream": stream, **body})
        assert reply.status_code == 200, reply.text
        last = json.loads(reply.text.splitlines()[-1])
        assert last.get("done"), reply.text
        counts.append(last["prompt_eval_count"])
    assert counts[0] == counts[1]
    return int(counts[0])


@pytest.fixture(scope="module")
def small(max_gateway: Any) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=max_gateway.url, timeout=300) as client:
        yield client


@pytest.mark.parametrize("chat", CHATS)
@pytest.mark.parametrize("tools", [0, 8])
def test_b01_an_agent_on_sim_is_always_answered(sim: Any, chat: str, tools: int) -> None:
    with httpx.Client(base_url=sim.url, timeout=60) as client:
        for context in (128, 512):
            body = {"model": "sim", "messages": CHATS[chat], "tools": TOOLS[:tools]}
            used = _ask(client, **body, options={**OPTIONS, "num_ctx": context})
            assert context // 2 < used < context


@pytest.mark.max
@pytest.mark.timeout(900)
@pytest.mark.parametrize(
    ("chat", "tools"),
    [
        pytest.param(chat, tools, marks=() if (chat, tools) in DEFAULT else pytest.mark.nightly)
        for chat in CHATS
        for tools in (0, 1, 4, 8)
    ],
)
def test_b01_an_agent_on_max_is_always_answered(small: httpx.Client, chat: str, tools: int) -> None:
    for context in (512, None):
        options = OPTIONS if context is None else {**OPTIONS, "num_ctx": context}
        used = _ask(small, model="hyperllama-tiny", messages=CHATS[chat], tools=TOOLS[:tools], options=options)
        assert used < (context or 1024)


def _grow(client: httpx.Client, model: str, turns: int, context: int, tools: int) -> int:
    """An agent that keeps everything it hears, for so many turns; the most tokens that a prompt had."""
    said: list[dict[str, Any]] = [{"role": "system", "content": "You are helpful."}]
    most = 0
    for turn in range(turns):
        said.append({"role": "user", "content": f"What is the weather in Paris on day {turn}?"})
        for step in range(1 + turn % 3):
            said.append({"role": "assistant", "content": "", "tool_calls": [CALL] * (1 + step)})
            said += [
                {"role": "tool", "tool_name": "get_weather_0", "content": f"Sunny, {turn} degrees."}
                for _ in range(1 + step)
            ]
        options = {**OPTIONS, "num_ctx": context}
        body = {"model": model, "messages": said, "tools": TOOLS[:tools], "options": options, "stream": turn % 2 == 0}
        reply = client.post("/api/chat", json=body)
        assert reply.status_code == 200, (turn, reply.text)
        last = json.loads(reply.text.splitlines()[-1])
        assert last["done"], (turn, last)
        most = max(most, last["prompt_eval_count"])
        said.append({"role": "assistant", "content": "It is sunny."})
    return most


@pytest.mark.parametrize("tools", [0, 1])
def test_b01_an_agent_on_sim_goes_on(sim: Any, tools: int) -> None:
    with httpx.Client(base_url=sim.url, timeout=60) as client:
        assert 128 < _grow(client, "sim", 15, 256, tools) < 256


@pytest.mark.nightly
@pytest.mark.timeout(900)
@pytest.mark.parametrize("context", [256, 384, 512])
@pytest.mark.parametrize("tools", [0, 1, 8])
def test_b01_an_agent_on_sim_goes_on_for_200_turns(sim: Any, context: int, tools: int) -> None:
    with httpx.Client(base_url=sim.url, timeout=60) as client:
        assert context // 2 < _grow(client, "sim", 200, context, tools) < context


@pytest.mark.max
@pytest.mark.nightly
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("context", [256, 384, 512])
@pytest.mark.parametrize("tools", [0, 1])
def test_b01_an_agent_on_max_goes_on_for_200_turns(small: httpx.Client, context: int, tools: int) -> None:
    assert context // 2 < _grow(small, "hyperllama-tiny", 200, context, tools) < context


@pytest.mark.nightly
def test_b01_a_context_that_the_client_keeps_may_grow_for_200_turns(sim: Any) -> None:
    with httpx.Client(base_url=sim.url, timeout=60) as client:
        kept: list[int] = []
        for turn in range(200):
            options = {"num_predict": 8, "num_ctx": 256}
            body = {
                "model": "sim",
                "prompt": f"And on day {turn}?",
                "context": kept,
                "stream": False,
                "options": options,
            }
            reply = client.post("/api/generate", json=body)
            assert reply.status_code == 200, (turn, reply.text)
            kept = reply.json()["context"]
            assert len(kept) <= 256


def _events(text: str) -> list[dict[str, Any]]:
    lines = (line.removeprefix("data: ") for line in text.splitlines() if line.startswith("data: {"))
    return [json.loads(line) for line in lines]


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize("limit", [1, 2, 3, 5])
def test_b01_a_call_cut_by_length_is_no_failure_in_any_dialect(sim: Any, stream: bool, limit: int) -> None:
    message = {"role": "user", "content": "Please call get_weather_0."}
    tool = TOOLS[0]["function"]
    body = {"model": "sim", "messages": [message], "stream": stream}
    with httpx.Client(base_url=sim.url, timeout=60) as client:
        reply = client.post("/api/chat", json={**body, "tools": TOOLS[:1], "options": {"num_predict": limit}})
        assert reply.status_code == 200, reply.text
        lines = [json.loads(line) for line in reply.text.splitlines()]
        assert (lines[-1]["done"], lines[-1]["done_reason"], lines[-1]["eval_count"]) == (True, "length", limit)
        assert not any(line["message"].get("tool_calls") for line in lines)

        reply = client.post("/v1/chat/completions", json={**body, "tools": TOOLS[:1], "max_tokens": limit})
        assert reply.status_code == 200, reply.text
        found = _events(reply.text) if stream else [reply.json()]
        assert [each["choices"][0]["finish_reason"] for each in found if each["choices"]][-1] == "length"

        tools = [{"name": tool["name"], "input_schema": tool["parameters"]}]
        reply = client.post("/v1/messages", json={**body, "tools": tools, "max_tokens": limit})
        assert reply.status_code == 200, reply.text
        found = _events(reply.text) if stream else [reply.json()]
        assert [each["delta"]["stop_reason"] for each in found if each["type"] == "message_delta"] == (
            ["max_tokens"] if stream else []
        )
        assert stream or found[0]["stop_reason"] == "max_tokens"


@pytest.mark.parametrize("predict", [None, -1, 10, 120, 5000])
@pytest.mark.parametrize("go", [False, True])
def test_b01_a_conversation_that_was_shortened_leaves_room_for_an_answer(
    sim: Any, predict: int | None, go: bool
) -> None:
    """Whatever it fills: the answer has what it may have, or a quarter of the context."""
    system = {"role": "system", "content": "s " * 20}
    context = 256
    wanted = min(predict if predict is not None and predict > 0 else context, context // 4)
    with httpx.Client(base_url=sim.url, timeout=60) as client:
        used = []
        for turns in range(1, 60, 4):
            options = {"num_ctx": context} if predict is None else {"num_ctx": context, "num_predict": predict}
            said = [system, *_talk(turns)] if not go else _loop(turns)
            reply = client.post(
                "/api/chat", json={"model": "sim", "messages": said, "stream": False, "options": options}
            )
            assert reply.status_code == 200, reply.text
            found = reply.json()
            used.append(found["prompt_eval_count"])
            assert used[-1] <= context - wanted
            assert found["eval_count"] >= min(wanted, 16)
        assert max(used) > context - wanted - 30  # no more was left out than that


@pytest.mark.parametrize("stream", [True, False])
def test_b01_a_last_message_that_leaves_little_room_is_answered_in_what_there_is(sim: Any, stream: bool) -> None:
    with httpx.Client(base_url=sim.url, timeout=60) as client:
        for words in (40, 50, 56, 58):
            said = [*_talk(30), {"role": "user", "content": "a " * words}]
            body = {"model": "sim", "messages": said, "stream": stream, "options": {"num_ctx": 128}}
            reply = client.post("/api/chat", json=body)
            assert reply.status_code == 200, reply.text
            last = json.loads(reply.text.splitlines()[-1])
            assert last["prompt_eval_count"] + last["eval_count"] <= 128
            assert last["eval_count"] > 0
            reply = client.post("/api/chat", json={**body, "truncate": False})
            assert reply.status_code == 400


def test_the_log_has_the_outcome_of_the_answer_and_not_of_the_attempt_before_it(sim: Any) -> None:
    body = {"model": "sim", "messages": _talk(40), "stream": False, "options": {**OPTIONS, "num_ctx": 128}}
    with httpx.Client(base_url=sim.url, timeout=60) as client:
        reply = client.post("/api/chat", json=body, headers={"x-request-id": "req-shortened-1"})
        assert reply.status_code == 200
    deadline = time.monotonic() + 10
    while "req-shortened-1" not in sim.log() and time.monotonic() < deadline:
        time.sleep(0.05)
    line = next(json.loads(each) for each in sim.log().splitlines() if "req-shortened-1" in each)
    assert (line["outcome"], line["completion_tokens"]) == ("finished", 4)
    assert line["left_out"] > 0
    assert "ttft_ms" in line


@pytest.mark.max
@pytest.mark.timeout(900)
def test_b01_tools_are_in_the_prompt_that_is_shown(small: httpx.Client) -> None:
    body = {"model": "hyperllama-tiny", "messages": _loop(1), "_debug_render_only": True}
    bare = small.post("/api/chat", json=body).text
    shown = small.post("/api/chat", json={**body, "tools": TOOLS[:1]}).text
    assert "Return the weather of a city." in shown
    assert "Return the weather of a city." not in bare

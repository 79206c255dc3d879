"""One request through Ollama's, OpenAI's and Anthropic's routes: one text, one count, one refusal in three wordings."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import httpx
import pytest

QUESTION = [{"role": "user", "content": "What port does the gateway listen on?"}]
SCHEMA = {
    "type": "object",
    "properties": {"city": {"type": "string", "maxLength": 12}, "sunny": {"type": "boolean"}},
    "required": ["city", "sunny"],
    "additionalProperties": False,
}


class Answer(NamedTuple):
    """What a client makes of it. ``ended``: stop, length or tools."""

    text: str
    calls: tuple[tuple[str, str], ...]
    prompt_tokens: int
    completion_tokens: int
    ended: str


class Asked(NamedTuple):
    """A request in nobody's words."""

    messages: list[dict[str, Any]] = QUESTION
    system: str = ""
    max_tokens: int = 24
    stop: str = ""
    tool: str = ""  # offered
    forced: bool = False
    schema: dict[str, Any] | None = None


def openai(http: httpx.Client, model: str, asked: Asked, *, stream: bool) -> Answer:
    system = [{"role": "system", "content": asked.system}] if asked.system else []
    body: dict[str, Any] = {
        "model": model,
        "messages": [*system, *asked.messages],
        "max_tokens": asked.max_tokens,
        "temperature": 0,
        "reasoning_effort": "none",
        "stream": stream,
    }
    if stream:
        body["stream_options"] = {"include_usage": True}
    if asked.stop:
        body["stop"] = asked.stop
    if asked.tool:
        function = {"name": asked.tool, "description": "Tells the weather.", "parameters": SCHEMA}
        body["tools"] = [{"type": "function", "function": function}]
        body["tool_choice"] = "required" if asked.forced else "auto"
    if asked.schema:
        body["response_format"] = {"type": "json_schema", "json_schema": {"name": "s", "schema": asked.schema}}
    reply = http.post("/v1/chat/completions", json=body).raise_for_status()
    ended = {"stop": "stop", "length": "length", "tool_calls": "tools"}
    if not stream:
        whole = reply.json()
        choice, usage = whole["choices"][0], whole["usage"]
        calls = [
            (call["function"]["name"], call["function"]["arguments"])
            for call in choice["message"].get("tool_calls", ())
        ]
        return _answer(
            choice["message"]["content"],
            calls,
            usage["prompt_tokens"],
            usage["completion_tokens"],
            ended[choice["finish_reason"]],
        )
    events = [json.loads(line[6:]) for line in reply.text.splitlines() if line.startswith("data: {")]
    text, parts, finish = "", {}, ""
    for event in events:
        for choice in event["choices"]:
            text += choice["delta"].get("content") or ""
            finish = choice["finish_reason"] or finish
            for call in choice["delta"].get("tool_calls", ()):
                name, arguments = parts.get(call["index"], ("", ""))
                function = call["function"]
                parts[call["index"]] = (name + function.get("name", ""), arguments + function["arguments"])
    usage = events[-1]["usage"]
    return _answer(text, parts.values(), usage["prompt_tokens"], usage["completion_tokens"], ended[finish])


def ollama(http: httpx.Client, model: str, asked: Asked, *, stream: bool) -> Answer:
    system = [{"role": "system", "content": asked.system}] if asked.system else []
    options: dict[str, Any] = {"num_predict": asked.max_tokens, "temperature": 0}
    if asked.stop:
        options["stop"] = [asked.stop]
    body: dict[str, Any] = {
        "model": model,
        "messages": [*system, *asked.messages],
        "options": options,
        "stream": stream,
    }
    body["think"] = False
    if asked.tool:
        function = {"name": asked.tool, "description": "Tells the weather.", "parameters": SCHEMA}
        body["tools"] = [{"type": "function", "function": function}]
    if asked.schema:
        body["format"] = asked.schema
    reply = http.post("/api/chat", json=body).raise_for_status()
    lines = [json.loads(line) for line in reply.text.splitlines()]
    last = lines[-1]
    found = [call["function"] for line in lines for call in line["message"].get("tool_calls", ())]
    calls = [(call["name"], json.dumps(call["arguments"])) for call in found]
    ended = "length" if last["done_reason"] == "length" else "tools" if calls else "stop"
    text = "".join(line["message"]["content"] for line in lines)
    return _answer(text, calls, last["prompt_eval_count"], last["eval_count"], ended)


def anthropic(http: httpx.Client, model: str, asked: Asked, *, stream: bool) -> Answer:
    body: dict[str, Any] = {
        "model": model,
        "messages": asked.messages,
        "max_tokens": asked.max_tokens,
        "temperature": 0,
        "stream": stream,
    }
    if asked.system:
        body["system"] = asked.system
    if asked.stop:
        body["stop_sequences"] = [asked.stop]
    if asked.tool:
        body["tools"] = [{"name": asked.tool, "description": "Tells the weather.", "input_schema": SCHEMA}]
        body["tool_choice"] = {"type": "any" if asked.forced else "auto"}
    if asked.schema:
        body["output_config"] = {"format": {"type": "json_schema", "schema": asked.schema}}
    counted = {key: body[key] for key in ("model", "messages", "system", "tools", "tool_choice") if key in body}
    count = http.post("/v1/messages/count_tokens", json=counted).raise_for_status().json()["input_tokens"]
    reply = http.post("/v1/messages", json=body).raise_for_status()
    ended = {"end_turn": "stop", "stop_sequence": "stop", "max_tokens": "length", "tool_use": "tools"}
    if not stream:
        whole = reply.json()
        blocks, usage, reason = whole["content"], whole["usage"], whole["stop_reason"]
        text = "".join(block["text"] for block in blocks if block["type"] == "text")
        calls = [(block["name"], json.dumps(block["input"])) for block in blocks if block["type"] == "tool_use"]
    else:
        events = [json.loads(line[6:]) for line in reply.text.splitlines() if line.startswith("data: {")]
        text, parts, usage, reason = "", {}, {}, ""
        for event in events:
            match event["type"]:
                case "content_block_start" if event["content_block"]["type"] == "tool_use":
                    parts[event["index"]] = (event["content_block"]["name"], "")
                case "content_block_delta" if event["delta"]["type"] == "text_delta":
                    text += event["delta"]["text"]
                case "content_block_delta" if event["delta"]["type"] == "input_json_delta":
                    name, arguments = parts[event["index"]]
                    parts[event["index"]] = (name, arguments + event["delta"]["partial_json"])
                case "message_delta":
                    usage, reason = event["usage"], event["delta"]["stop_reason"]
        calls = list(parts.values())
    prompt = usage["input_tokens"] + usage["cache_read_input_tokens"]
    assert count == prompt, "what is counted beforehand is what is billed"
    return _answer(text, calls, prompt, usage["output_tokens"], ended[reason])


def _answer(text: str | None, calls: Any, prompt_tokens: int, completion_tokens: int, ended: str) -> Answer:
    spelled = tuple((name, json.dumps(json.loads(arguments or "{}"))) for name, arguments in calls)
    return Answer(text or "", spelled, prompt_tokens, completion_tokens, ended)


DIALECTS: tuple[Callable[..., Answer], ...] = (openai, ollama, anthropic)


@pytest.fixture(params=["sim", pytest.param("max", marks=[pytest.mark.max, pytest.mark.timeout(900)])])
def served(request: pytest.FixtureRequest) -> Iterator[tuple[httpx.Client, str]]:
    fixture, model = {"sim": ("sim", "sim"), "max": ("max_gateway", "hyperllama-tiny")}[request.param]
    with httpx.Client(base_url=request.getfixturevalue(fixture).url, timeout=120, trust_env=False) as http:
        yield http, model


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize(
    "asked",
    [
        Asked(),
        Asked(max_tokens=2),
        Asked(system="Answer in one word."),
        Asked(messages=[*QUESTION, {"role": "assistant", "content": "11434."}, {"role": "user", "content": "Sure?"}]),
        Asked(tool="get_weather", messages=[{"role": "user", "content": "Use get_weather for Paris."}], max_tokens=64),
        Asked(schema=SCHEMA, max_tokens=64),
    ],
    ids=["plain", "cut short", "system", "turns", "tool", "schema"],
)
def test_all_say_and_count_the_same(served: tuple[httpx.Client, str], asked: Asked, stream: bool) -> None:
    http, model = served
    answers = [dialect(http, model, asked, stream=stream) for dialect in DIALECTS]
    assert answers[0].text or answers[0].calls
    assert answers[1:] == [answers[0]] * 2
    assert answers[0].prompt_tokens > 0
    assert 0 < answers[0].completion_tokens <= asked.max_tokens


def test_all_stop_at_the_same_place(served: tuple[httpx.Client, str]) -> None:
    http, model = served
    whole = openai(http, model, Asked(), stream=False).text
    stop = whole[len(whole) // 2 :][:3]
    answers = [
        dialect(http, model, Asked(stop=stop), stream=stream) for dialect in DIALECTS for stream in (False, True)
    ]
    assert answers[1:] == [answers[0]] * 5
    assert (answers[0].text, answers[0].ended) == (whole[: whole.index(stop)], "stop")


def test_a_forced_call_is_the_same_where_one_can_be_forced(served: tuple[httpx.Client, str]) -> None:
    http, model = served
    asked = Asked(tool="get_weather", forced=True, max_tokens=64)
    answers = [
        dialect(http, model, asked, stream=stream) for dialect in (openai, anthropic) for stream in (False, True)
    ]
    assert answers[1:] == [answers[0]] * 3
    assert [name for name, _ in answers[0].calls] == ["get_weather"]


LONG = [{"role": "user", "content": "word " * 40_000}]


@pytest.mark.parametrize(
    ("change", "status"),
    [
        ({"model": "nobody"}, 404),
        ({"messages": LONG}, 400),
        ({"messages": "Hi"}, 400),
        ({"tools": "all of them"}, 400),
    ],
    ids=["unknown model", "prompt too long", "no messages", "no tools"],
)
def test_all_refuse_the_same_in_their_own_words(
    served: tuple[httpx.Client, str], change: dict[str, Any], status: int
) -> None:
    http, model = served
    asked = {"model": model, "messages": QUESTION, "max_tokens": 8, **change}
    told = {key: value for key, value in asked.items() if key != "max_tokens"}
    told["truncate"] = False
    replies = (
        http.post("/v1/chat/completions", json=asked),
        http.post("/api/chat", json=told),
        http.post("/v1/messages", json=asked),
    )
    assert [reply.status_code for reply in replies] == [status] * 3, [reply.text for reply in replies]
    ours, ollama_s, anthropic_s = (reply.json() for reply in replies)
    assert set(ours["error"]) == {"message", "type", "param", "code"}
    assert isinstance(ollama_s["error"], str)
    assert (anthropic_s["type"], set(anthropic_s["error"])) == ("error", {"type", "message"})
    if status == 404:
        assert ours["error"]["code"] == "model_not_found"
        assert "nobody" in ollama_s["error"]
        assert anthropic_s["error"]["type"] == "not_found_error"
    if "messages" in change and change["messages"] is LONG:
        assert ours["error"]["code"] == "context_length_exceeded"
        assert "context" in ollama_s["error"]
        assert "prompt is too long" in anthropic_s["error"]["message"]


def test_a_model_that_makes_no_vectors_says_so_in_both_dialects(served: tuple[httpx.Client, str]) -> None:
    http, model = served
    asked = {"model": model, "input": "x"}
    ours, theirs = http.post("/v1/embeddings", json=asked), http.post("/api/embed", json=asked)
    assert ours.status_code == theirs.status_code
    assert 400 <= ours.status_code < 500
    assert ours.json()["error"]["type"] == "invalid_request_error"
    assert isinstance(theirs.json()["error"], str)

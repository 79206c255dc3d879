"""What OpenAI's clients send, against MAX's worker: its grammars, its chat template and its tokenizer take it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from openai.types.chat import ChatCompletion
from openai.types.responses import Response

MODEL = "hyperllama-tiny"
CITY = {
    "type": "object",
    "properties": {"city": {"enum": ["Paris", "Rome"]}},
    "required": ["city"],
    "additionalProperties": False,
}
FUNCTION = {"type": "function", "name": "get_weather", "parameters": CITY, "strict": True}
CHAT_FUNCTION = {"type": "function", "function": {"name": "get_weather", "parameters": CITY}}
NAMESPACE = {"type": "namespace", "name": "mcp__tiny", "description": "Tiny.", "tools": [FUNCTION]}
CUSTOM = {"type": "custom", "name": "apply_patch", "description": "Change files."}
SHELL = {"type": "local_shell"}
USER = {"type": "message", "role": "user", "content": "Which port does the gateway listen on?"}
CUT = (
    '{"city',
    '{"city": "Oslo',
    "",
    " ",
    "null",
    "[]",
    '{"a": NaN}',
    "{'a': 1}",
    '{"a": 1}{"b": 2}',
    '{"é": "\\ud800',
)

pytestmark = [pytest.mark.max, pytest.mark.timeout(900)]


@pytest.fixture(scope="module")
def http(max_gateway: Any) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=max_gateway.url, timeout=300) as client:
        yield client


def events(text: str) -> list[dict[str, Any]]:
    return [json.loads(line[6:]) for line in text.splitlines() if line.startswith("data: {")]


def asked(http: httpx.Client, **body: Any) -> dict[str, Any]:
    """Return the response to ``body``, whole and then streamed: of the SDK's type, with items of the same types."""
    body = {"model": MODEL, "max_output_tokens": 64, "temperature": 0, **body}
    whole = http.post("/v1/responses", json=body)
    assert whole.status_code == 200, whole.text
    Response.model_validate_json(whole.content, strict=True)
    stream = http.post("/v1/responses", json={**body, "stream": True})
    found = events(stream.text)
    assert [event["sequence_number"] for event in found] == list(range(len(found)))
    last = found[-1]["response"]
    Response.model_validate_json(json.dumps(last), strict=True)
    assert [item["type"] for item in last["output"]] == [item["type"] for item in whole.json()["output"]]
    assert last["status"] == whole.json()["status"]
    return whole.json()  # type: ignore[no-any-return]


@pytest.mark.parametrize("text", CUT)
def test_f03_a_replayed_call_may_have_any_arguments(http: httpx.Client, text: str) -> None:
    call = {"id": "c1", "type": "function", "function": {"name": "get_weather", "arguments": text}}
    messages = [
        {"role": "user", "content": "hi"},
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "c1", "content": "bad JSON"},
    ]
    for tools in ({}, {"tools": [CHAT_FUNCTION]}):
        chat = http.post("/v1/chat/completions", json={"model": MODEL, "messages": messages, "max_tokens": 8, **tools})
        assert chat.status_code == 200, chat.text
        ChatCompletion.model_validate_json(chat.content, strict=True)
    item = {"type": "function_call", "call_id": "c1", "name": "get_weather", "arguments": text}
    result = {"type": "function_call_output", "call_id": "c1", "output": "bad JSON"}
    asked(http, input=[USER, item, result], max_output_tokens=16)


@pytest.mark.parametrize("limit", [16, 17, 18, 19, 20])
def test_f03_our_own_cut_call_is_gone_on_from(http: httpx.Client, limit: int) -> None:
    first = asked(http, input="Weather?", tools=[FUNCTION], tool_choice="required", max_output_tokens=limit)
    call = first["output"][-1]
    assert call["type"] == "function_call"
    result = {"type": "function_call_output", "call_id": call["call_id"], "output": "cut"}
    asked(http, input=[result], tools=[FUNCTION], previous_response_id=first["id"], max_output_tokens=16)


def test_f04_a_reference_costs_what_the_item_costs(http: httpx.Client) -> None:
    first = asked(http, input=[USER], tools=[FUNCTION], tool_choice="required")
    call = first["output"][0]
    result = {"type": "function_call_output", "call_id": call["call_id"], "output": "sunny"}
    whole = asked(http, input=[USER, call, result], tools=[FUNCTION])
    for reference in ({"type": "item_reference", "id": call["id"]}, {"id": call["id"]}):
        found = asked(http, input=[USER, reference, result], tools=[FUNCTION])
        assert found["usage"]["input_tokens"] == whole["usage"]["input_tokens"]


@pytest.mark.parametrize("choice", ["required", {"type": "function", "name": "get_weather"}])
def test_f08_a_function_of_a_namespace_is_forced(http: httpx.Client, choice: object) -> None:
    (call,) = asked(http, input=[USER], tools=[NAMESPACE], tool_choice=choice)["output"]
    assert (call["type"], call["namespace"], call["name"]) == ("function_call", "mcp__tiny", "get_weather")
    assert json.loads(call["arguments"])["city"] in ("Paris", "Rome")


@pytest.mark.parametrize("choice", ["required", {"type": "custom", "name": "apply_patch"}])
def test_f09_a_custom_tool_is_forced_and_its_history_taken(http: httpx.Client, choice: object) -> None:
    (call,) = asked(http, input=[USER], tools=[CUSTOM], tool_choice=choice)["output"]
    assert (call["type"], call["name"]) == ("custom_tool_call", "apply_patch")
    assert isinstance(call["input"], str)
    result = {"type": "custom_tool_call_output", "call_id": call["call_id"], "output": "ok"}
    asked(http, input=[USER, call, result], tools=[CUSTOM])
    asked(http, input=[USER, call, result])


def test_f09_a_custom_tool_of_a_chat_is_forced(http: httpx.Client) -> None:
    body = {
        "model": MODEL,
        "messages": [{"role": "user", "content": "Change it."}],
        "tools": [{"type": "custom", "custom": {"name": "apply_patch"}}],
        "tool_choice": "required",
        "max_tokens": 40,
    }
    reply = http.post("/v1/chat/completions", json=body)
    assert reply.status_code == 200, reply.text
    ChatCompletion.model_validate_json(reply.content, strict=True)
    (call,) = reply.json()["choices"][0]["message"]["tool_calls"]
    assert (call["type"], call["custom"]["name"]) == ("custom", "apply_patch")


def test_f09_a_shell_of_the_clients_is_forced(http: httpx.Client) -> None:
    (call,) = asked(http, input=[USER], tools=[SHELL], tool_choice="required", max_output_tokens=200)["output"]
    assert call["type"] == "local_shell_call"
    assert call["action"]["type"] == "exec"
    result = {"type": "local_shell_call_output", "id": call["call_id"], "output": "ok"}
    asked(http, input=[USER, call, result], tools=[SHELL], max_output_tokens=16)


def test_f10_a_document_is_read(http: httpx.Client) -> None:
    document = {
        "type": "input_file",
        "filename": "a.txt",
        "file_data": "data:text/plain;base64,VGhlIHNreSBpcyBncmVlbi4=",
    }
    question = {"type": "input_text", "text": "Which port does the gateway listen on?"}
    found = asked(http, input=[{"role": "user", "content": [document, question]}])
    assert found["usage"]["input_tokens"] > asked(http, input=[USER])["usage"]["input_tokens"]


def test_f12_what_other_tools_left_is_told(http: httpx.Client) -> None:
    history = [
        USER,
        {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "gAAAAABforeign"},
        {"type": "web_search_call", "id": "ws_1", "status": "completed", "action": {"type": "search", "query": "x"}},
        {"type": "mcp_call", "id": "m", "name": "f", "server_label": "s", "arguments": "{}", "output": "one"},
        {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "It rains."}]},
        {"type": "compaction", "id": "cmp_1", "encrypted_content": "gAAAAABforeign"},
        {"type": "message", "role": "developer", "content": "Be brief."},
        USER,
    ]
    text = asked(http, input=history)["output"][0]["content"][0]["text"]
    assert "11434" in text


@pytest.mark.parametrize(
    ("form", "types"),
    [
        ({"type": "json_schema", "name": "x", "schema": CITY, "strict": True}, dict),
        ({"type": "json_schema", "name": "x", "schema": {**CITY, "uniqueItems": True}}, dict),
        ({"type": "json_schema", "name": "x", "schema": {"type": "array", "items": CITY, "maxItems": 2}}, list),
    ],
)
def test_a_schema_in_the_format_of_a_response_is_kept_to(http: httpx.Client, form: dict[str, Any], types: Any) -> None:
    found = asked(http, input=[USER], text={"format": form}, temperature=1, max_output_tokens=100)
    value = json.loads(found["output"][0]["content"][0]["text"])
    assert isinstance(value, types)
    assert all(one["city"] in ("Paris", "Rome") for one in (value if types is list else [value]))


def test_the_last_message_of_the_assistants_is_history(http: httpx.Client) -> None:
    begun = {"type": "message", "role": "assistant", "content": "The gateway listens on"}
    assert asked(http, input=[USER, begun])["status"] in ("completed", "incomplete")


def test_f20_the_special_tokens_are_those_of_the_tokenizer(http: httpx.Client) -> None:
    found = http.get("/tokenizer_info", params={"model": MODEL}).json()
    assert found["eos_token"]
    tokens = http.post("/tokenize", json={"model": MODEL, "prompt": found["eos_token"]}).json()["tokens"]
    ends = http.post("/tokenize", json={"model": MODEL, "prompt": f"a{found['eos_token']}"}).json()["tokens"]
    assert tokens[-1] == ends[-1]  # one token, whatever is before it
    assert len(tokens) <= 2
    assert found["chat_template"]
    body = {"model": MODEL, "prompt": f"a{found['eos_token']}", "add_special_tokens": False}
    bare = http.post("/tokenize", json=body).json()["tokens"]
    assert (bare[-1], len(bare)) == (ends[-1], 2)  # it adds nothing, and what is written stays what it is
    counted = http.post("/v1/completions", json={**body, "max_tokens": 1}).json()["usage"]
    assert counted["prompt_tokens"] == 2


def test_a_conversation_is_compacted_and_gone_on_with(http: httpx.Client) -> None:
    first = asked(http, input=[USER])
    listed = [USER, *first["output"]]
    for more in ({"input": listed}, {"previous_response_id": first["id"]}):
        reply = http.post("/v1/responses/compact", json={"model": MODEL, **more})
        assert reply.status_code == 200, reply.text
        user, item = reply.json()["output"]
        assert (user["role"], item["type"]) == ("user", "compaction")
        assert reply.json()["usage"]["output_tokens"] > 0
        asked(http, input=[user, item, USER])
    body = {"model": MODEL, "input": [*listed, USER], "context_management": [{"type": "compaction"}]}
    assert [item["type"] for item in asked(http, **body)["output"]] == ["message"]
    body["context_management"] = [{"type": "compaction", "compact_threshold": 8}]
    body["input"] = [USER, {"role": "assistant", "content": "It listens on a port. " * 20}, USER]
    assert [item["type"] for item in asked(http, **body)["output"]] == ["compaction", "message"]

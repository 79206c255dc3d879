"""Tools that are no plain functions: namespaces, custom tools, and OpenAI's own that the client runs."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import httpx
import openai
import pytest
from openai.types.chat import ChatCompletion
from openai.types.responses import Response, ResponseStreamEvent
from pydantic import TypeAdapter

from hyperllama.generation import AnyTool, GenerationRequest, NamedTool, TokenChunk, ToolCallDelta, Usage
from hyperllama.testing.fakes import FakeGateway, Scripted
from hyperllama_openai.encode.freeform import Freeform, plain

EVENT: TypeAdapter[Any] = TypeAdapter(ResponseStreamEvent)
CITY = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
FUNCTION = {"type": "function", "name": "lookup", "parameters": CITY, "strict": False}
TINY = {"type": "namespace", "name": "mcp__tiny", "description": "d", "tools": [FUNCTION]}
GRAMMAR = {"type": "grammar", "syntax": "lark", "definition": "start: /.+/"}
PATCH = {"type": "custom", "name": "apply_patch", "description": "Edits files.", "format": GRAMMAR}
ASK = {"model": "tiny", "input": "Hi"}
TEXT = '*** Begin Patch\n+"é😀\\n\t\\u0041"\n*** End Patch'


def calling(*calls: tuple[str, str], size: int = 7) -> Any:
    """Make a gateway's answer: these calls, their arguments in pieces of ``size`` characters."""

    def answer(_: GenerationRequest) -> Sequence[Scripted]:
        chunks = []
        for index, (name, arguments) in enumerate(calls):
            chunks.append(TokenChunk(tool_calls=(ToolCallDelta(index, "", f"call_{index}", name),)))
            pieces = (arguments[at : at + size] for at in range(0, len(arguments), size))
            chunks += [TokenChunk(tool_calls=(ToolCallDelta(index, piece),)) for piece in pieces]
        return [*chunks, TokenChunk(tokens=0, finish_reason="tool_calls", usage=Usage(5, 9))]

    return answer


async def both(http: httpx.AsyncClient, body: dict[str, Any]) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Ask for a response whole and as a stream; both are valid by the SDK's own types. Return it and the events."""
    whole = await http.post("/v1/responses", json=body)
    assert whole.status_code == 200, whole.text
    Response.model_validate_json(whole.content, strict=True)
    stream = await http.post("/v1/responses", json={**body, "stream": True})
    assert stream.status_code == 200, stream.text
    events = [json.loads(line[6:]) for line in stream.text.splitlines() if line.startswith("data: ")]
    for event in events:
        EVENT.validate_python(event, strict=True)
    assert [event["sequence_number"] for event in events] == list(range(len(events)))
    final = events[-1]["response"]
    done = [event["item"] for event in events if event["type"] == "response.output_item.done"]
    assert final["output"] == done
    assert [bare(item) for item in done] == [bare(item) for item in whole.json()["output"]]
    return whole.json(), events


def bare(item: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in item.items() if key != "id"}


# --- F8: namespaces


NAMESPACED: list[tuple[list[Any], str, str, str | None]] = [
    ([TINY], "mcp__tiny__lookup", "lookup", "mcp__tiny"),
    ([TINY], "lookup", "lookup", "mcp__tiny"),  # as models shorten it
    ([{**TINY, "name": "mcp__tiny__"}], "mcp__tiny__lookup", "lookup", "mcp__tiny__"),
    ([TINY, FUNCTION], "lookup", "lookup", None),
    ([FUNCTION, TINY], "mcp__tiny__lookup", "lookup", "mcp__tiny"),
    ([TINY, {**FUNCTION, "name": "mcp__tiny__lookup"}], "mcp__tiny__lookup", "mcp__tiny__lookup", None),
    ([TINY, {**FUNCTION, "name": "mcp__tiny__lookup"}], "mcp__tiny__lookup_2", "lookup", "mcp__tiny"),
    ([TINY, {**TINY, "name": "other"}], "other__lookup", "lookup", "other"),
    ([{**TINY, "name": "a"}, {**TINY, "name": "a__"}], "a__lookup_2", "lookup", "a__"),
    ([TINY], "unheard_of", "unheard_of", None),
]


async def test_f08_a_call_in_a_namespace_is_answered_apart(http: httpx.AsyncClient, fake: FakeGateway) -> None:
    for tools, called, name, namespace in NAMESPACED:
        fake.requests.clear()
        fake.answer = calling((called, '{"city":"Oslo"}'))
        body, events = await both(http, {**ASK, "tools": tools})
        names = [spec.name for spec in fake.requests[0].tools]
        assert len(names) == len(set(names)) == len(tools)
        (item,) = body["output"]
        assert (item["type"], item["name"], item.get("namespace")) == ("function_call", name, namespace)
        assert item["arguments"] == '{"city":"Oslo"}' and body["tools"] == tools_echoed(tools)
        added = next(event["item"] for event in events if event["type"] == "response.output_item.added")
        assert (added["name"], added.get("namespace")) == (name, namespace)


def tools_echoed(tools: list[Any]) -> list[Any]:
    return [{**tool, "description": None} if tool["type"] == "function" else tool for tool in tools]


CHOICES: list[tuple[Any, Any, int]] = [
    ("required", AnyTool(), 4),
    ({"type": "function", "name": "lookup"}, NamedTool("mcp__tiny__lookup"), 4),
    ({"type": "function", "name": "mcp__tiny__lookup"}, NamedTool("mcp__tiny__lookup"), 4),
    ({"type": "function", "name": "lookup", "namespace": "mcp__tiny"}, NamedTool("mcp__tiny__lookup"), 4),
    ({"type": "custom", "name": "apply_patch"}, NamedTool("apply_patch"), 4),
    ({"type": "namespace", "name": "mcp__tiny"}, NamedTool("mcp__tiny__lookup"), 4),
    ({"type": "namespace", "name": "pair"}, AnyTool(), 2),
    ({"type": "allowed_tools", "mode": "required", "tools": [{"type": "namespace", "name": "pair"}]}, AnyTool(), 2),
    ({"type": "allowed_tools", "mode": "auto", "tools": [{"type": "function", "name": "lookup"}]}, None, 1),
    (
        {
            "type": "allowed_tools",
            "mode": "auto",
            "tools": [{"type": "custom", "name": "apply_patch"}, {"type": "web_search"}],
        },
        None,
        1,
    ),
]


async def test_f08_f09_every_choice_among_them(http: httpx.AsyncClient, fake: FakeGateway) -> None:
    pair = {**TINY, "name": "pair", "tools": [{**FUNCTION, "name": "a"}, {**FUNCTION, "name": "b"}]}
    fake.answer = calling(("apply_patch", '{"input":"x"}'))
    tools = [TINY, PATCH, pair, {"type": "web_search"}]
    for choice, wanted, seen in CHOICES:
        reply = await http.post("/v1/responses", json={**ASK, "tools": tools, "tool_choice": choice})
        assert reply.status_code == 200, reply.text
        Response.model_validate_json(reply.content)
        assert (fake.requests[-1].tool_choice, len(fake.requests[-1].tools)) == (wanted, seen)


async def test_f08_more_tools_in_namespaces_than_a_request_may_have_beside(
    http: httpx.AsyncClient, fake: FakeGateway
) -> None:
    many = {**TINY, "tools": [{**FUNCTION, "name": f"lookup_{n}"} for n in range(154)]}
    assert (await http.post("/v1/responses", json={**ASK, "tools": [many]})).status_code == 200
    assert len(fake.requests[0].tools) == 154
    over = {**TINY, "tools": [{**FUNCTION, "name": f"lookup_{n}"} for n in range(1025)]}
    assert (await http.post("/v1/responses", json={**ASK, "tools": [over]})).status_code == 400


async def test_f08_f09_the_model_sees_its_calls_as_it_made_them(http: httpx.AsyncClient, fake: FakeGateway) -> None:
    history = [
        {"role": "user", "content": "x"},
        {"type": "function_call", "call_id": "c1", "namespace": "mcp__tiny", "name": "lookup", "arguments": "{}"},
        {"type": "function_call_output", "call_id": "c1", "output": "rain"},
        {"type": "custom_tool_call", "call_id": "c2", "name": "apply_patch", "input": TEXT},
        {"type": "custom_tool_call_output", "call_id": "c2", "output": [{"type": "input_text", "text": "ok"}]},
    ]
    for tools in ([TINY, PATCH], []):  # also when they are not offered any more
        fake.requests.clear()
        assert (await http.post("/v1/responses", json={**ASK, "input": history, "tools": tools})).status_code == 200
        made, answered, patched, done = fake.requests[0].input.messages[1:]
        assert (made.tool_calls[0].name, answered.name) == ("mcp__tiny__lookup", "mcp__tiny__lookup")
        assert patched.tool_calls[0].name == "apply_patch"
        assert json.loads(patched.tool_calls[0].arguments) == {"input": TEXT}
        assert (done.role, done.text, done.tool_call_id) == ("tool", "ok", "c2")


async def test_f08_tools_that_a_search_found_are_offered(http: httpx.AsyncClient, fake: FakeGateway) -> None:
    fake.answer = calling(("mcp__tiny__lookup", "{}"))
    searched = [
        {"role": "user", "content": "x"},
        {"type": "tool_search_call", "call_id": "c1", "execution": "client", "arguments": {"query": "rain"}},
        {"type": "tool_search_output", "call_id": "c1", "execution": "client", "status": "completed", "tools": [TINY]},
        {"type": "tool_search_call", "call_id": None, "execution": "server", "arguments": {}},
        {"type": "tool_search_output", "call_id": None, "execution": "server", "tools": ["?", {"type": "function"}]},
    ]
    search = {"type": "tool_search", "execution": "client", "description": "d", "parameters": CITY}
    body, _ = await both(http, {**ASK, "input": searched, "tools": [search]})
    assert [spec.name for spec in fake.requests[0].tools] == ["tool_search", "mcp__tiny__lookup"]
    assert body["output"][0]["namespace"] == "mcp__tiny"
    assert fake.requests[0].input.messages[-1].text == "mcp__tiny__lookup"


# --- F9: custom tools


@pytest.mark.parametrize("size", [1, 2, 3, 7, 1000])
@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (json.dumps({"input": TEXT}), TEXT),
        (json.dumps({"input": TEXT}, ensure_ascii=False), TEXT),
        (' {\n "input" :  ' + json.dumps(TEXT) + " }", TEXT),
        ('{"input":""}', ""),
        (json.dumps({"patch": TEXT}), TEXT),
        (json.dumps(TEXT), TEXT),
        (TEXT, TEXT),
        ("{}", ""),
        ("", ""),
        ('{"reason": "r", "input": "x"}', "x"),
        ('{"input": "cut \\u00e', "cut "),
        ('{"input": "cut \\ud83d', "cut "),
        ('{"inp', '{"inp'),
        ('{"input": "\\ud83d\\ude00\\ud83dx\\udc00"}', "😀\ufffdx\ufffd"),
        ('{"input": "a\\x"}', "a\\x"),
        ("[1]", "[1]"),
        (" " * 300 + '{"input": "far"}', "far"),
    ],
)
def test_f09_the_input_is_raw_text_however_it_comes(arguments: str, text: str, size: int) -> None:
    reader = Freeform()
    pieces = [reader.feed(arguments[at : at + size]) for at in range(0, len(arguments), size)]
    assert "".join(pieces) + reader.end() == text
    if "ud83dx" not in arguments:  # half a character, which JSON's own decoder refuses
        assert plain(arguments) == text


@pytest.mark.parametrize("namespace", [None, "edit"])
async def test_f09_a_custom_tool_on_responses(
    http: httpx.AsyncClient, fake: FakeGateway, namespace: str | None
) -> None:
    fake.answer = calling(("edit__apply_patch" if namespace else "apply_patch", json.dumps({"input": TEXT})))
    tool = PATCH if namespace is None else {"type": "namespace", "name": "edit", "description": "d", "tools": [PATCH]}
    body, events = await both(http, {**ASK, "tools": [tool, FUNCTION]})
    spec = fake.requests[0].tools[0]
    assert spec.parameters["required"] == ["input"] and "start: /.+/" in spec.description
    (item,) = body["output"]
    assert (item["type"], item["name"], item.get("namespace")) == ("custom_tool_call", "apply_patch", namespace)
    assert (item["input"], item["call_id"], item["id"][:4]) == (TEXT, "call_0", "ctc_")
    deltas = [event["delta"] for event in events if event["type"] == "response.custom_tool_call_input.delta"]
    assert "".join(deltas) == TEXT and len(deltas) > 5
    (done,) = (event for event in events if event["type"] == "response.custom_tool_call_input.done")
    assert done["input"] == TEXT
    kinds = [event["type"] for event in events]
    assert kinds[2] == "response.output_item.added" and kinds[-3:-1] == [done["type"], "response.output_item.done"]
    more = {**ASK, "previous_response_id": body["id"], "tools": [tool]}
    more["input"] = [{"type": "custom_tool_call_output", "call_id": "call_0", "output": "ok"}]
    assert (await http.post("/v1/responses", json=more)).status_code == 200
    assert fake.requests[-1].input.messages[-1].name == spec.name


@pytest.mark.parametrize(
    "format", [None, {"type": "text"}, {"type": "grammar", "grammar": {"syntax": "regex", "definition": "a+"}}]
)
async def test_f09_a_custom_tool_on_chat(http: httpx.AsyncClient, fake: FakeGateway, format: Any) -> None:
    fake.answer = calling(("code", json.dumps({"input": TEXT})), ("f", "{}"))
    tools = [
        {"type": "custom", "custom": {"name": "code", "format": format}},
        {"type": "function", "function": {"name": "f"}},
    ]
    asked = {"model": "tiny", "messages": [{"role": "user", "content": "x"}], "tools": tools}
    for choice, wanted in (
        ("auto", None),
        ({"type": "custom", "custom": {"name": "code"}}, NamedTool("code")),
        (
            {
                "type": "allowed_tools",
                "allowed_tools": {"mode": "required", "tools": [{"type": "custom", "custom": {"name": "code"}}]},
            },
            AnyTool(),
        ),
    ):
        reply = await http.post("/v1/chat/completions", json={**asked, "tool_choice": choice})
        assert reply.status_code == 200, reply.text
        assert fake.requests[-1].tool_choice == wanted
    found = ChatCompletion.model_validate_json(reply.content, strict=True).choices[0].message
    assert [call.type for call in found.tool_calls or ()] == ["custom", "function"]
    assert (found.tool_calls[0].custom.name, found.tool_calls[0].custom.input) == ("code", TEXT)
    stream = await http.post("/v1/chat/completions", json={**asked, "stream": True})
    chunks = [json.loads(line[6:]) for line in stream.text.splitlines() if line.startswith("data: {")]
    calls = [call for chunk in chunks for call in chunk["choices"][0]["delta"].get("tool_calls", ())]
    code = [call for call in calls if call["index"] == 0]
    assert (code[0]["type"], code[0]["custom"]["name"]) == ("custom", "code")
    assert "".join(call["custom"]["input"] for call in code) == TEXT and all("function" not in call for call in code)
    history = [
        *asked["messages"],
        {"role": "assistant", "content": None, "tool_calls": reply.json()["choices"][0]["message"]["tool_calls"]},
        {"role": "tool", "tool_call_id": "call_0", "content": "ok"},
        {"role": "tool", "tool_call_id": "call_1", "content": "ok"},
    ]
    assert (await http.post("/v1/chat/completions", json={**asked, "messages": history})).status_code == 200
    made, answered, _ = fake.requests[-1].input.messages[1:]
    assert json.loads(made.tool_calls[0].arguments) == {"input": TEXT} and answered.name == "code"


async def test_f09_odd_arguments_come_at_the_end_of_a_chat_stream(http: httpx.AsyncClient, fake: FakeGateway) -> None:
    fake.answer = calling(("code", json.dumps({"text": TEXT})))
    asked = {
        "model": "tiny",
        "messages": [{"role": "user", "content": "x"}],
        "tools": [{"type": "custom", "custom": {"name": "code"}}],
        "stream": True,
    }
    stream = await http.post("/v1/chat/completions", json=asked)
    chunks = [json.loads(line[6:]) for line in stream.text.splitlines() if line.startswith("data: {")]
    calls = [call for chunk in chunks for call in chunk["choices"][0]["delta"].get("tool_calls", ())]
    assert "".join(call["custom"]["input"] for call in calls) == TEXT
    assert chunks[-1]["choices"][0]["finish_reason"] == "tool_calls"


# --- F12: OpenAI's own tools that the client runs


CLIENT_RUN = [
    (
        {"type": "local_shell"},
        "local_shell",
        {"command": ["ls", "-l"], "timeout_ms": 5, "env": {"A": "b"}},
        {"type": "exec", "command": ["ls", "-l"], "env": {}, "timeout_ms": 5},
        {"type": "local_shell_call_output", "id": "call_0", "output": "a.txt"},
        "a.txt",
    ),
    (
        {"type": "shell", "environment": {"type": "local"}},
        "shell",
        {"commands": ["ls"]},
        {"commands": ["ls"], "timeout_ms": None, "max_output_length": None},
        {
            "type": "shell_call_output",
            "call_id": "call_0",
            "output": [{"stdout": "a.txt", "stderr": "oh", "outcome": {"type": "exit", "exit_code": 2}}],
        },
        "a.txt\noh\n(exit code 2)",
    ),
    (
        {"type": "apply_patch"},
        "apply_patch",
        {"type": "update_file", "path": "a.py", "diff": "@@\n-a\n+b"},
        {"type": "update_file", "path": "a.py", "diff": "@@\n-a\n+b"},
        {"type": "apply_patch_call_output", "call_id": "call_0", "status": "failed"},
        "failed",
    ),
    (
        {"type": "computer_use_preview", "display_width": 8, "display_height": 6, "environment": "linux"},
        "computer",
        {"type": "click", "x": 1, "y": 2, "button": "left"},
        {"type": "click", "x": 1, "y": 2, "button": "left"},
        {
            "type": "computer_call_output",
            "call_id": "call_0",
            "output": {"type": "computer_screenshot", "image_url": "data:image/png;base64,aGk="},
        },
        "[An image was here. This model cannot see images.]",
    ),
]


@pytest.mark.parametrize(
    ("tool", "name", "arguments", "action", "output", "text"), CLIENT_RUN, ids=lambda v: str(v)[:24]
)
async def test_f12_a_tool_that_the_client_runs_is_answered_in_its_own_form(
    http: httpx.AsyncClient,
    fake: FakeGateway,
    tool: dict[str, Any],
    name: str,
    arguments: Any,
    action: Any,
    output: dict[str, Any],
    text: str,
) -> None:
    fake.answer = calling((name, json.dumps(arguments)))
    body, _ = await both(http, {**ASK, "tools": [tool], "tool_choice": {"type": tool["type"]}})
    assert (fake.requests[0].tools[0].name, fake.requests[0].tool_choice) == (name, NamedTool(name))
    (item,) = body["output"]
    assert item.get("action", item.get("operation")) == action and body["tools"] == [tool]
    # The next turn, whole and by reference to the response, is the same conversation.
    whole = {**ASK, "input": [{"role": "user", "content": "Hi"}, item, output], "tools": [tool]}
    after = {**ASK, "input": [output], "previous_response_id": body["id"], "tools": [tool]}
    for asked in (whole, after):
        reply = await http.post("/v1/responses", json=asked)
        assert reply.status_code == 200, reply.text
        called, answered = fake.requests[-1].input.messages[1:]
        assert called.tool_calls[0].name == answered.name == name
        assert {**arguments, "env": None} == {
            **json.loads(called.tool_calls[0].arguments),
            "env": None,
        } or name == "shell"
        assert (answered.role, answered.text, answered.tool_call_id) == ("tool", text, "call_0")


async def test_f12_wrong_arguments_of_such_a_tool_are_still_an_item(http: httpx.AsyncClient, fake: FakeGateway) -> None:
    for tool in [row[0] for row in CLIENT_RUN]:
        name = "computer" if tool["type"].startswith("computer") else tool["type"]
        for arguments in ("", "{", "[]", '{"command": "ls"}', '{"commands": "ls"}', '{"type": 1}', "null"):
            fake.answer = calling((name, arguments))
            await both(http, {**ASK, "tools": [tool]})


# --- tools that OpenAI's servers run


ELSEWHERE = [
    {"type": "web_search"},
    {"type": "web_search_preview_2025_03_11"},
    {"type": "file_search", "vector_store_ids": ["vs_1"]},
    {"type": "code_interpreter", "container": {"type": "auto"}},
    {"type": "image_generation"},
    {"type": "mcp", "server_label": "s", "server_url": "https://x"},
    {"type": "shell", "environment": {"type": "container_auto"}},
    {"type": "tool_search"},
    {"type": "not_yet_known"},
]


async def test_f12_a_tool_that_nobody_runs_here_is_said_and_never_invented(
    http: httpx.AsyncClient, fake: FakeGateway
) -> None:
    for tool in ELSEWHERE:
        await check_elsewhere(http, fake, tool)


async def check_elsewhere(http: httpx.AsyncClient, fake: FakeGateway, tool: dict[str, Any]) -> None:
    for stream in (False, True):
        beside = await http.post("/v1/responses", json={**ASK, "tools": [tool, FUNCTION], "stream": stream})
        assert (beside.status_code, beside.headers["x-hyperllama-tools-left-out"]) == (200, tool["type"])
    assert [spec.name for spec in fake.requests[-1].tools] == ["lookup"]
    for choice in ("auto", "required", {"type": tool["type"]}):
        alone = await http.post("/v1/responses", json={**ASK, "tools": [tool], "tool_choice": choice})
        assert alone.status_code == 400
        error = alone.json()["error"]
        assert tool["type"] in error["message"] and error["param"] and error["code"] == "unsupported_parameter"
    named = {**ASK, "tools": [tool, FUNCTION], "tool_choice": {"type": tool["type"]}}
    assert (await http.post("/v1/responses", json=named)).status_code == 400
    assert (await http.post("/v1/responses", json={**ASK, "tools": [tool], "tool_choice": "none"})).status_code == 200


async def test_the_sdk_reads_them(client: openai.AsyncOpenAI, fake: FakeGateway) -> None:
    fake.answer = calling(("apply_patch", json.dumps({"input": TEXT})), ("mcp__tiny__lookup", '{"city":"a"}'))
    async with client.responses.stream(model="tiny", input="x", tools=[PATCH, TINY]) as stream:
        async for _ in stream:
            pass
        final = await stream.get_final_response()
    assert [item.type for item in final.output] == ["custom_tool_call", "function_call"]
    assert (final.output[0].input, final.output[1].namespace) == (TEXT, "mcp__tiny")

"""What is asked becomes a generation; what comes back is spelled as blocks and events."""

from __future__ import annotations

import base64
import itertools
import json
from typing import Any

import httpx
import pytest

from hyperllama.errors import ContextTooLong, EngineFailed, InvalidRequest, Overloaded, RateLimited
from hyperllama.generation import (
    AnyTool,
    GenerationRequest,
    JsonSchema,
    NamedTool,
    NoTool,
    Sampling,
    TokenChunk,
    ToolCallDelta,
    ToolSpec,
    Usage,
)
from hyperllama.messages import Image, Message, Text, ToolCall
from hyperllama.testing.fakes import model_info
from hyperllama.testing.hostile import no_json
from hyperllama.testing.protocol import ProtocolContract
from hyperllama.testing.serving import serving
from hyperllama.web import BodyReader
from hyperllama.web.fetch import Fetcher, NotFetched
from hyperllama_anthropic.decode import messages as decode
from hyperllama_anthropic.encode import MessageEncoder
from hyperllama_anthropic.errors import BodyRefusals
from hyperllama_anthropic.protocol import Anthropic
from hyperllama_anthropic.settings import Settings
from hyperllama_anthropic.wire import MessagesRequest

convert = BodyReader(BodyRefusals()).convert

ASK: dict[str, Any] = {"model": "claude", "max_tokens": 99, "messages": [{"role": "user", "content": "Hi"}]}
TOOL = {"name": "f", "description": "does f", "input_schema": {"type": "object", "properties": {}}}
PNG = base64.b64encode(b"\x89PNG").decode()


class TestContract(ProtocolContract):
    @pytest.fixture
    def protocol(self) -> Anthropic:
        return Anthropic(Settings())


def ask(body: dict[str, Any]) -> GenerationRequest:
    return decode.message(convert({**ASK, **body}, MessagesRequest, strict=False), model_info("claude"))


def said(*turns: dict[str, Any], **more: Any) -> tuple[Message, ...]:
    return ask({"messages": list(turns), **more}).input.messages


def test_a_bare_request_does_not_think() -> None:
    request = ask({})
    assert request.sampling == Sampling(max_tokens=99)
    assert request.input.messages == (Message(role="user", parts=(Text("Hi"),)),)
    assert request.reasoning is False


def test_an_explicit_null_is_the_same_as_leaving_the_field_out() -> None:
    optional = set(MessagesRequest.__struct_fields__) - {"model", "messages", "max_tokens"}
    assert ask(dict.fromkeys(optional)) == ask({})


SAMPLED: list[tuple[dict[str, Any], Sampling]] = [
    ({"temperature": 1, "top_p": 0}, Sampling(max_tokens=99, temperature=1, top_p=1e-6)),
    ({"top_k": 5}, Sampling(max_tokens=99, top_k=5)),
    ({"stop_sequences": ["a", ""]}, Sampling(max_tokens=99, stop=("a",))),
]


@pytest.mark.parametrize(("body", "expected"), SAMPLED, ids=str)
def test_sampling(body: dict[str, Any], expected: Sampling) -> None:
    assert ask(body).sampling == expected


def test_system_blocks_become_the_first_message() -> None:
    blocks = [{"type": "text", "text": "a", "cache_control": {"type": "ephemeral"}}, {"type": "text", "text": "b"}]
    for system in ("a\n\nb", blocks):
        assert said(*ASK["messages"], system=system)[0] == Message(role="system", parts=(Text("a\n\nb"),))


def test_a_tools_answer_leaves_the_users_turn_and_learns_its_name() -> None:
    call = {"type": "tool_use", "id": "toolu_1", "name": "f", "input": {"x": 1}}
    thought = {"type": "thinking", "thinking": "hm", "signature": "s"}
    result = {"type": "tool_result", "tool_use_id": "toolu_1", "content": [{"type": "text", "text": "42"}]}
    failed = {"type": "tool_result", "tool_use_id": "toolu_2", "content": "no", "is_error": True}
    assert said(
        {"role": "assistant", "content": [thought, {"type": "text", "text": "ok"}, call]},
        {"role": "user", "content": [result, failed, {"type": "text", "text": "and?"}]},
    ) == (
        Message(
            role="assistant", parts=(Text("ok"),), reasoning="hm", tool_calls=(ToolCall("toolu_1", "f", '{"x":1}'),)
        ),
        Message(role="tool", parts=(Text("42"),), tool_call_id="toolu_1", name="f"),
        Message(role="tool", parts=(Text("Error: "), Text("no")), tool_call_id="toolu_2"),
        Message(role="user", parts=(Text("and?"),)),
    )


def test_images_and_text_documents() -> None:
    image = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PNG}}
    document = {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "doc"}}
    assert said({"role": "user", "content": [image, document]})[0].parts == (Image(b"\x89PNG"), Text("doc"))


def test_a_last_turn_of_the_assistants_is_continued() -> None:
    assert ask({"messages": [*ASK["messages"], {"role": "assistant", "content": "{"}]}).input.continue_last is True
    assert ask({}).input.continue_last is False


CHOICES: list[tuple[dict[str, Any] | None, Any, bool]] = [
    (None, None, True),
    ({"type": "auto"}, None, True),
    ({"type": "any", "disable_parallel_tool_use": True}, AnyTool(), False),
    ({"type": "tool", "name": "f"}, NamedTool("f"), True),
    ({"type": "none"}, NoTool(), True),
]


@pytest.mark.parametrize(("choice", "expected", "parallel"), CHOICES, ids=str)
def test_tools(choice: dict[str, Any] | None, expected: Any, parallel: bool) -> None:
    server_tool = {"type": "web_search_20250305", "name": "web_search", "max_uses": 5}
    request = ask({"tools": [TOOL, server_tool], "tool_choice": choice})
    assert request.tools == (ToolSpec("f", "does f", {"type": "object", "properties": {}}, place="tools.0"),)
    assert (request.tool_choice, request.parallel_tool_calls) == (expected, parallel)


THINKING: list[tuple[dict[str, Any], Any]] = [
    ({"thinking": {"type": "enabled", "budget_tokens": 2048}}, True),
    ({"thinking": {"type": "disabled"}}, False),
    ({"thinking": {"type": "adaptive"}, "output_config": {"effort": "low"}}, "low"),
]


@pytest.mark.parametrize(("body", "expected"), THINKING, ids=str)
def test_thinking(body: dict[str, Any], expected: Any) -> None:
    assert ask(body).reasoning == expected


def test_output_formats() -> None:
    form = {"type": "json_schema", "schema": {"type": "object"}}
    assert ask({"output_config": {"format": form}}).output == JsonSchema({"type": "object"})
    assert ask({"output_format": form}).output == JsonSchema({"type": "object"})


REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"max_tokens": None}, "max_tokens"),
    ({"max_tokens": 0}, "max_tokens"),
    ({"messages": []}, "messages"),
    ({"messages": [{"role": "bot", "content": "x"}]}, "messages.0.role"),
    ({"messages": [{"role": "user"}]}, "messages.0.content"),
    ({"messages": [{"role": "user", "content": [{"type": "hologram"}]}]}, "messages.0.content.0.type"),
    ({"messages": [{"role": "user", "content": [{"type": "text"}]}]}, "messages.0.content.0.text"),
    ({"messages": [{"role": "user", "content": [{"type": "tool_result"}]}]}, "messages.0.content.0.tool_use_id"),
    (
        {"messages": [{"role": "user", "content": [{"type": "image", "source": {"type": "url", "url": "http://x"}}]}]},
        "messages.0.content.0.source.type",
    ),
    (
        {"messages": [{"role": "user", "content": [{"type": "image", "source": {"type": "base64", "data": "?"}}]}]},
        "messages.0.content.0.source.data",
    ),
    ({"temperature": 1.1}, "temperature"),
    ({"top_p": -0.1}, "top_p"),
    ({"top_k": -1}, "top_k"),
    ({"stop_sequences": ["x"] * 17}, "stop_sequences"),
    ({"tool_choice": {"type": "any"}}, "tool_choice"),
    ({"tools": [TOOL], "tool_choice": {"type": "tool", "name": "g"}}, "tool_choice.name"),
    ({"tools": [TOOL], "tool_choice": {"type": "maybe"}}, "tool_choice.type"),
    ({"thinking": {"type": "loud"}}, "thinking.type"),
    ({"mcp_servers": [{"url": "http://x"}]}, "mcp_servers"),
    ({"output_config": {"effort": "huge"}, "thinking": {"type": "adaptive"}}, "output_config.effort"),
]


@pytest.mark.parametrize(("body", "param"), REFUSED, ids=lambda value: str(value)[:60])
def test_refused_with_the_field_at_fault(body: dict[str, Any], param: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        ask(body)
    assert caught.value.param == param
    assert caught.value.message.startswith(f"{param}: ")


def test_what_the_model_cannot_do_is_refused_by_name() -> None:
    plain = model_info("claude", capabilities=frozenset({"completion", "chat"}))
    image = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PNG}}
    for body, param in (
        ({"tools": [TOOL]}, "tools"),
        ({"messages": [{"role": "user", "content": [image]}]}, "messages"),
    ):
        with pytest.raises(InvalidRequest, match="claude does not support") as caught:
            decode.message(convert({**ASK, **body}, MessagesRequest, strict=False), plain)
        assert caught.value.param == param
    with pytest.raises(InvalidRequest, match="does not generate text"):
        decode.message(
            convert(ASK, MessagesRequest, strict=False), model_info("claude", capabilities=frozenset({"embedding"}))
        )


def test_strict_refuses_what_nobody_knows() -> None:
    with pytest.raises(InvalidRequest, match="frobnicate: Extra inputs are not permitted"):
        convert({**ASK, "frobnicate": 1}, MessagesRequest, strict=True)


async def test_a_whole_message(http: httpx.AsyncClient, script) -> None:
    script.says(
        TokenChunk(reasoning="hm"),
        TokenChunk(text="ok"),
        TokenChunk(tool_calls=(ToolCallDelta(0, '{"x":1}', "toolu_1", "f"),)),
        TokenChunk(tokens=0, finish_reason="tool_calls", usage=Usage(9, 2, 4)),
    )
    reply = await http.post("/v1/messages?beta=true", json=ASK)
    body = reply.json()
    assert body.pop("id").startswith("msg_")
    assert body["content"][0].pop("signature")
    assert body == {
        "type": "message",
        "role": "assistant",
        "model": "claude",
        "content": [
            {"type": "thinking", "thinking": "hm"},
            {"type": "text", "text": "ok"},
            {"type": "tool_use", "id": "toolu_1", "name": "f", "input": {"x": 1}},
        ],
        "stop_reason": "tool_use",
        "stop_sequence": None,
        "usage": {
            "input_tokens": 5,
            "cache_creation_input_tokens": 0,
            "cache_read_input_tokens": 4,
            "output_tokens": 2,
        },
    }
    assert reply.headers["request-id"] == reply.headers["x-request-id"]


def test_golden_stream() -> None:
    encoder = MessageEncoder(id="msg_1", model="m")
    chunks = [TokenChunk(reasoning="h"), TokenChunk(text="é\n"), TokenChunk(text="b")]
    calls = [
        TokenChunk(tool_calls=(ToolCallDelta(0, "{", "toolu_1", "f"),)),
        TokenChunk(tool_calls=(ToolCallDelta(0, "}"), ToolCallDelta(1, "", "toolu_2", "g"))),
        TokenChunk(tokens=0, finish_reason="tool_calls", usage=Usage(3, 4)),
    ]
    raw = encoder.chunks(0, chunks) + encoder.chunks(0, calls) + encoder.end()
    found = [block.split("\n") for block in raw.decode().removesuffix("\n\n").split("\n\n")]
    assert [line[0] for line in found] == [f"event: {json.loads(line[1][6:])['type']}" for line in found]
    signature = json.loads(found[4][1][6:])["delta"]["signature"]
    assert [line[1].removeprefix("data: ") for line in found] == [
        (
            '{"type":"message_start","message":{"id":"msg_1","type":"message","role":"assistant","model":"m","content":[],'
            '"stop_reason":null,"stop_sequence":null,"usage":{"input_tokens":0,"cache_creation_input_tokens":0,'
            '"cache_read_input_tokens":0,"output_tokens":0}}}'
        ),
        '{"type":"ping"}',
        '{"type":"content_block_start","index":0,"content_block":{"type":"thinking","thinking":"","signature":""}}',
        '{"type":"content_block_delta","index":0,"delta":{"type":"thinking_delta","thinking":"h"}}',
        f'{{"type":"content_block_delta","index":0,"delta":{{"type":"signature_delta","signature":"{signature}"}}}}',
        '{"type":"content_block_stop","index":0}',
        '{"type":"content_block_start","index":1,"content_block":{"type":"text","text":""}}',
        '{"type":"content_block_delta","index":1,"delta":{"type":"text_delta","text":"é\\n"}}',
        '{"type":"content_block_delta","index":1,"delta":{"type":"text_delta","text":"b"}}',
        '{"type":"content_block_stop","index":1}',
        '{"type":"content_block_start","index":2,"content_block":{"type":"tool_use","id":"toolu_1","name":"f","input":{}}}',
        '{"type":"content_block_delta","index":2,"delta":{"type":"input_json_delta","partial_json":"{"}}',
        '{"type":"content_block_delta","index":2,"delta":{"type":"input_json_delta","partial_json":"}"}}',
        '{"type":"content_block_stop","index":2}',
        '{"type":"content_block_start","index":3,"content_block":{"type":"tool_use","id":"toolu_2","name":"g","input":{}}}',
        '{"type":"content_block_stop","index":3}',
        (
            '{"type":"message_delta","delta":{"stop_reason":"tool_use","stop_sequence":null},"usage":{"input_tokens":3,'
            '"cache_creation_input_tokens":0,"cache_read_input_tokens":0,"output_tokens":4}}'
        ),
        '{"type":"message_stop"}',
    ]


REASONS: list[tuple[str, str | None, str]] = [
    ("stop", None, "end_turn"),
    ("stop", "!", "stop_sequence"),
    ("length", None, "max_tokens"),
    ("content_filter", None, "refusal"),
]


@pytest.mark.parametrize(("reason", "match", "expected"), REASONS)
async def test_why_it_stopped(http: httpx.AsyncClient, script, reason: Any, match: str | None, expected: str) -> None:
    script.says(TokenChunk(text="a", finish_reason=reason, stop_match=match, usage=Usage(1, 1)))
    whole = (await http.post("/v1/messages", json=ASK)).json()
    assert (whole["stop_reason"], whole["stop_sequence"]) == (expected, match)
    stream = (await http.post("/v1/messages", json={**ASK, "stream": True})).text
    assert json.dumps({"stop_reason": expected, "stop_sequence": match}, separators=(",", ":")) in stream


async def test_errors_before_the_first_token_have_a_status_and_type(http: httpx.AsyncClient, script) -> None:
    for error, status, kind in (
        (Overloaded("The queue is full.", retry_after=2), 529, "overloaded_error"),
        (RateLimited("Slow down.", retry_after=2), 429, "rate_limit_error"),
        (ContextTooLong("5000 tokens > 4096 maximum"), 400, "invalid_request_error"),
        (EngineFailed("The engine broke."), 502, "api_error"),
    ):
        script.gateway.refusal = error
        reply = await http.post("/v1/messages", json={**ASK, "stream": True})
        assert reply.status_code == status
        assert reply.json()["type"] == "error"
        assert reply.json()["error"]["type"] == kind
        assert reply.headers["request-id"] == reply.headers["x-request-id"]
        assert ("prompt is too long" in reply.json()["error"]["message"]) == (kind == "invalid_request_error")
        assert (reply.headers.get("retry-after") == "2") == (error.retry_after is not None)
    unknown = await http.post("/v1/messages", json={**ASK, "model": "gpt"})
    assert (unknown.status_code, unknown.json()["error"]["type"]) == (404, "not_found_error")


async def test_a_quota_that_is_used_up_is_not_worth_asking_again(http: httpx.AsyncClient, script) -> None:
    class Quota(RateLimited):
        code = "insufficient_quota"

    for error, said in ((Quota("The monthly quota is used up."), "false"), (RateLimited("Slow down."), None)):
        script.gateway.refusal = error
        reply = await http.post("/v1/messages", json=ASK)
        assert (reply.status_code, reply.headers.get("x-should-retry")) == (429, said)


async def test_an_error_in_mid_stream_is_an_event(http: httpx.AsyncClient, script) -> None:
    script.says(TokenChunk(text="a"), EngineFailed("The engine broke."))
    text = (await http.post("/v1/messages", json={**ASK, "stream": True})).text
    last = 'event: error\ndata: {"type":"error","error":{"type":"api_error","message":"The engine broke."}}\n\n'
    assert text.endswith(last)


async def test_tokens_are_counted_with_the_system_prompt_and_the_tools(http: httpx.AsyncClient) -> None:
    body = {key: value for key, value in ASK.items() if key != "max_tokens"}
    plain = (await http.post("/v1/messages/count_tokens", json=body)).json()
    assert plain == {"input_tokens": 2}
    more = await http.post("/v1/messages/count_tokens", json={**body, "system": "Be kind.", "tools": [TOOL]})
    assert more.json()["input_tokens"] > 2 + len("Be kind.") + len("does f")


@pytest.mark.parametrize("path", ["/v1/messages", "/v1/messages/count_tokens"])
async def test_json_made_to_break_parsers_is_400_in_the_envelope(http: httpx.AsyncClient, path: str) -> None:
    for body in itertools.islice(no_json(), None, None, 3):
        reply = await http.post(path, content=body, headers={"content-type": "application/json"})
        assert reply.status_code == 400, body[:40]
        assert reply.json()["error"]["type"] == "invalid_request_error"


class Pictures(Fetcher):
    """One that finds every URL but those with ``gone`` in them."""

    async def fetch(self, url: str, *, max_bytes: int) -> bytes:
        if "gone" in url:
            raise NotFetched("its server answered with status 404")
        return url.encode()


async def test_images_by_url_are_fetched_only_where_the_config_names_their_hosts(script) -> None:
    url = "https://images.example.com/a.png"

    def ask(found: str) -> dict[str, Any]:
        image = {"type": "image", "source": {"type": "url", "url": found}}
        result = {"type": "tool_result", "tool_use_id": "toolu_1", "content": [image]}
        return {**ASK, "messages": [{"role": "user", "content": [image, result]}]}

    async with (
        serving(Anthropic(Settings(), Pictures(("images.example.com",))), script.gateway) as base,
        httpx.AsyncClient(base_url=base) as client,
    ):
        assert (await client.post("/v1/messages", json=ask(url))).status_code == 200
        found = [part for message in script.asked.input.messages for part in message.parts]
        assert found == [Image(url.encode())] * 2
        refused = await client.post("/v1/messages", json=ask(f"{url}?gone"))
        assert refused.status_code == 400
        assert "messages.0.content.0.source.url" in refused.json()["error"]["message"]
    async with serving(Anthropic(Settings()), script.gateway) as base, httpx.AsyncClient(base_url=base) as client:
        assert (await client.post("/v1/messages", json=ask(url))).status_code == 400


async def test_a_streams_first_event_tells_the_prompts_tokens(http: httpx.AsyncClient, script) -> None:
    script.says(
        TokenChunk(text="a", usage=Usage(9, 0, 4)), TokenChunk(tokens=0, finish_reason="stop", usage=Usage(9, 1, 4))
    )
    reply = await http.post("/v1/messages", json={**ASK, "stream": True})
    first = json.loads(reply.text.split("\n")[1].removeprefix("data: "))
    assert first["message"]["usage"]["input_tokens"] == 5
    assert first["message"]["usage"]["cache_read_input_tokens"] == 4

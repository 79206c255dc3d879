"""The Responses API: events in order, the object whole, and what was kept read back."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import httpx
import openai
import pytest
from pydantic import BaseModel

from hyperllama.errors import EngineFailed, InvalidRequest
from hyperllama.generation import JsonSchema, NamedTool, TokenChunk, TokenLogprob, ToolCallDelta, Usage
from hyperllama.messages import Message, Text, ToolCall
from hyperllama.models import ModelInfo
from hyperllama.web import BodyReader
from hyperllama_openai.decode.items import own_input
from hyperllama_openai.decode.responses import responses
from hyperllama_openai.encode.responses_stream import ResponsesEncoder
from hyperllama_openai.errors import BodyRefusals
from hyperllama_openai.settings import Settings
from hyperllama_openai.wire.responses import ResponsesRequest

convert = BodyReader(BodyRefusals()).convert

INFO = ModelInfo(name="m", engine="fake", capabilities=frozenset({"chat", "tools"}), context_length=1024)
ASK = {"model": "tiny", "input": "Hi"}
TOOL = {"type": "function", "name": "f", "parameters": {"type": "object", "properties": {}}, "strict": False}
END = TokenChunk(tokens=0, finish_reason="stop", usage=Usage(5, 4, 1, 2))


class Person(BaseModel):
    name: str


def call(index: int, arguments: str, id: str | None = None, name: str | None = None) -> TokenChunk:
    return TokenChunk(tool_calls=(ToolCallDelta(index, arguments, id, name),))


EVERYTHING = [
    [TokenChunk(reasoning="h"), TokenChunk(reasoning="m")],
    [TokenChunk(text="a"), TokenChunk(text="b")],
    [call(0, '{"x"', "call_1", "f"), call(0, ":1}"), call(1, "{}", "call_2", "g"), END],
]


def events(body: str) -> list[dict[str, Any]]:
    found = []
    for block in body.removesuffix("\n\n").split("\n\n"):
        name, data = block.split("\n")
        event = json.loads(data.removeprefix("data: "))
        assert name == f"event: {event['type']}"
        found.append(event)
    assert [event["sequence_number"] for event in found] == list(range(len(found)))
    return found


async def test_every_event_comes_in_order_and_numbered(http: httpx.AsyncClient, fake) -> None:
    fake.answer = lambda _: EVERYTHING
    reply = await http.post("/v1/responses", json={**ASK, "stream": True})
    found = events(reply.text)
    assert [(event["type"].removeprefix("response."), event.get("output_index")) for event in found] == [
        ("created", None),
        ("in_progress", None),
        ("output_item.added", 0),
        ("reasoning_text.delta", 0),
        ("reasoning_text.delta", 0),
        ("reasoning_text.done", 0),
        ("output_item.done", 0),
        ("output_item.added", 1),
        ("content_part.added", 1),
        ("output_text.delta", 1),
        ("output_text.delta", 1),
        ("output_text.done", 1),
        ("content_part.done", 1),
        ("output_item.done", 1),
        ("output_item.added", 2),
        ("function_call_arguments.delta", 2),
        ("function_call_arguments.delta", 2),
        ("function_call_arguments.done", 2),
        ("output_item.done", 2),
        ("output_item.added", 3),
        ("function_call_arguments.delta", 3),
        ("function_call_arguments.done", 3),
        ("output_item.done", 3),
        ("completed", None),
    ]
    done = [event["item"] for event in found if event["type"] == "response.output_item.done"]
    assert found[-1]["response"]["output"] == done
    assert found[7]["item"]["content"] == []
    assert found[14]["item"]["arguments"] == ""
    assert {key: found[9][key] for key in ("content_index", "delta", "logprobs")} == {
        "content_index": 0,
        "delta": "a",
        "logprobs": [],
    }
    assert found[17] == {
        "type": "response.function_call_arguments.done",
        "sequence_number": 17,
        "item_id": done[2]["id"],
        "output_index": 2,
        "name": "f",
        "arguments": '{"x":1}',
    }
    assert (done[2]["id"][:3], done[2]["call_id"]) == ("fc_", "call_1")
    assert found[-1]["response"]["usage"] == {
        "input_tokens": 5,
        "input_tokens_details": {"cached_tokens": 1, "cache_write_tokens": 0},
        "output_tokens": 4,
        "output_tokens_details": {"reasoning_tokens": 2},
        "total_tokens": 9,
    }


async def test_the_whole_object_echoes_what_was_asked(http: httpx.AsyncClient) -> None:
    asked = {
        **ASK,
        "instructions": "Be kind.",
        "temperature": 0.5,
        "max_output_tokens": 99,
        "metadata": {"a": "b"},
        "tools": [TOOL, {"type": "web_search"}],
        "tool_choice": "auto",
        "reasoning": {"effort": "low"},
        "user": "u",
        "safety_identifier": "s",
        "prompt_cache_key": "k",
    }
    body = (await http.post("/v1/responses", json=asked)).json()
    for key, value in asked.items():
        if key not in ("input", "tools", "reasoning"):
            assert body[key] == value, key
    assert body["tools"] == [{**TOOL, "description": None}]
    assert body["reasoning"] == {"effort": "low", "summary": None}
    assert body["text"] == {"format": {"type": "text"}, "verbosity": "medium"}
    for key in ("error", "incomplete_details", "previous_response_id"):
        assert body[key] is None
    assert (body["object"], body["status"], body["parallel_tool_calls"]) == ("response", "completed", True)
    (message,) = body["output"]
    assert message["content"] == [{"type": "output_text", "text": "Hello there.", "annotations": [], "logprobs": []}]
    assert (message["type"], message["role"], message["status"]) == ("message", "assistant", "completed")


async def test_thoughts_are_a_summary_for_who_asks_for_one(http: httpx.AsyncClient, fake) -> None:
    fake.answer = lambda _: [[TokenChunk(reasoning="hm"), TokenChunk(text="a"), END]]
    reply = await http.post("/v1/responses", json={**ASK, "stream": True, "reasoning": {"summary": "auto"}})
    found = events(reply.text)
    assert [event["type"] for event in found[2:8]] == [
        "response.output_item.added",
        "response.reasoning_summary_part.added",
        "response.reasoning_summary_text.delta",
        "response.reasoning_summary_text.done",
        "response.reasoning_summary_part.done",
        "response.output_item.done",
    ]
    assert found[7]["item"]["summary"] == [{"type": "summary_text", "text": "hm"}]


@pytest.mark.parametrize(("reason", "why"), [("length", "max_output_tokens"), ("content_filter", "content_filter")])
async def test_an_answer_cut_short_is_incomplete(http: httpx.AsyncClient, fake, reason: str, why: str) -> None:
    end = TokenChunk(tokens=0, finish_reason=reason, usage=Usage(1, 1))
    fake.answer = lambda _: [[TokenChunk(text="a"), end]]
    body = (await http.post("/v1/responses", json=ASK)).json()
    assert (body["status"], body["incomplete_details"]) == ("incomplete", {"reason": why})
    assert body["output"][0]["status"] == "incomplete"
    stream = events((await http.post("/v1/responses", json={**ASK, "stream": True})).text)
    assert stream[-1]["type"] == "response.incomplete"


async def test_a_stream_that_breaks_ends_with_failed_and_only_that(http: httpx.AsyncClient, fake) -> None:
    fake.answer = lambda _: [[TokenChunk(text="a")], EngineFailed("The engine broke.")]
    found = events((await http.post("/v1/responses", json={**ASK, "stream": True})).text)
    assert [event["type"] for event in found[-2:]] == ["response.output_item.done", "response.failed"]
    failed = found[-1]["response"]
    assert (failed["status"], failed["error"]) == ("failed", {"code": "server_error", "message": "The engine broke."})
    fake.answer = lambda _: [EngineFailed("The engine broke.")]
    assert (await http.post("/v1/responses", json={**ASK, "stream": True})).status_code == 502
    assert (await http.post("/v1/responses", json=ASK)).status_code == 502


def test_one_delta_event_golden() -> None:
    encoder = ResponsesEncoder(ResponsesRequest(model="m"), id="resp_1", created=7)
    encoder.chunks(0, [TokenChunk(text="a")])
    item = json.loads(encoder.chunks(0, [TokenChunk(text='"')]).split(b"data: ")[1])["item_id"]
    assert encoder.chunks(0, [TokenChunk(text="é\n")]) == (
        b'event: response.output_text.delta\ndata: {"type":"response.output_text.delta","sequence_number":6,'
        b'"item_id":"%b","output_index":0,"content_index":0,"delta":"\xc3\xa9\\n","logprobs":[]}\n\n' % item.encode()
    )


async def test_the_clients_stream_helper_and_parse(client: openai.AsyncOpenAI, fake) -> None:
    fake.answer = lambda _: [[TokenChunk(reasoning="hm")], [TokenChunk(text='{"name":"Ann"}')], [END]]
    async with client.responses.stream(model="tiny", input="Hi", text_format=Person) as stream:
        kinds = [event.type async for event in stream]
        final = await stream.get_final_response()
    assert final.output_parsed == Person(name="Ann")
    assert kinds[-1] == "response.completed"
    parsed = await client.responses.parse(model="tiny", input="Hi", text_format=Person)
    assert parsed.output_parsed == Person(name="Ann")
    assert isinstance(fake.requests[0].output, JsonSchema)
    whole = await client.responses.create(model="tiny", input="Hi")
    assert whole.output_text == '{"name":"Ann"}'
    assert [item.type for item in whole.output] == ["reasoning", "message"]


async def test_tools_through_the_client_and_the_answer_back(client: openai.AsyncOpenAI, fake) -> None:
    fake.answer = lambda _: EVERYTHING
    choice = {"type": "function", "name": "f"}
    first = await client.responses.create(model="tiny", input="Hi", tools=[TOOL], tool_choice=choice)
    assert fake.requests[0].tool_choice == NamedTool("f")
    calls = [item for item in first.output if item.type == "function_call"]
    assert [(item.call_id, item.name, item.arguments) for item in calls] == [
        ("call_1", "f", '{"x":1}'),
        ("call_2", "g", "{}"),
    ]
    answers = [{"type": "function_call_output", "call_id": item.call_id, "output": "ok"} for item in calls]
    told = [{"role": "user", "content": "Hi"}, *(item.model_dump() for item in first.output), *answers]
    await client.responses.create(model="tiny", input=told, instructions="Be kind.")
    said = fake.requests[1].input.messages
    await client.responses.create(model="tiny", input=answers, previous_response_id=first.id, instructions="Be kind.")
    assert fake.requests[2].input.messages == said
    assert said == (
        Message(role="system", parts=(Text("Be kind."),)),
        Message(role="user", parts=(Text("Hi"),)),
        Message(
            role="assistant",
            parts=(Text("ab"),),
            reasoning="hm",
            tool_calls=(ToolCall("call_1", "f", '{"x":1}'), ToolCall("call_2", "g", "{}")),
        ),
        Message(role="tool", parts=(Text("ok"),), tool_call_id="call_1", name="f"),
        Message(role="tool", parts=(Text("ok"),), tool_call_id="call_2", name="g"),
    )


async def test_a_response_is_kept_read_back_and_deleted(client: openai.AsyncOpenAI) -> None:
    first = await client.responses.create(model="tiny", input="Hi")
    second = await client.responses.create(model="tiny", input="More", previous_response_id=first.id)
    assert await client.responses.retrieve(second.id) == second
    items = await client.responses.input_items.list(second.id, order="asc")
    assert [item.role for item in items.data] == ["user", "assistant", "user"]
    newest = await client.responses.input_items.list(second.id, limit=1)
    assert (newest.data[0].content[0].text, newest.has_more) == ("More", True)
    older = await client.responses.input_items.list(second.id, after=newest.data[0].id, limit=1)
    assert older.data[0].role == "assistant"
    await client.responses.delete(second.id)
    with pytest.raises(openai.NotFoundError):
        await client.responses.retrieve(second.id)
    with pytest.raises(openai.BadRequestError) as caught:
        await client.responses.create(model="tiny", input="x", previous_response_id=second.id)
    assert (caught.value.param, caught.value.code) == ("previous_response_id", "previous_response_not_found")


async def test_f15_responses_are_strictly_of_the_clients_type(http: httpx.AsyncClient) -> None:
    body = await http.post("/v1/responses", json=ASK)
    openai.types.responses.Response.model_validate_json(body.text, strict=True)
    events = (await http.post("/v1/responses", json={**ASK, "stream": True})).text
    last = json.loads(events[events.rindex("data: {") + 6 :].partition("\n")[0])
    assert last["type"] == "response.completed"
    openai.types.responses.Response.model_validate_json(json.dumps(last["response"]), strict=True)


async def test_a_streamed_response_is_kept_before_its_last_event(client: openai.AsyncOpenAI) -> None:
    async with client.responses.stream(model="tiny", input="Hi") as stream:
        final = await stream.get_final_response()
    assert (await client.responses.retrieve(final.id)).output_text == "Hello there."


async def test_nothing_is_kept_that_was_not_to_be(client: openai.AsyncOpenAI) -> None:
    made = await client.responses.create(model="tiny", input="Hi", store=False)
    with pytest.raises(openai.NotFoundError):
        await client.responses.retrieve(made.id)


async def test_in_the_background_it_is_made_while_nobody_waits(client: openai.AsyncOpenAI, fake) -> None:
    fake.hold = asyncio.Event()
    made = await client.responses.create(model="tiny", input="Hi", background=True)
    assert (made.status, made.output) == ("in_progress", [])
    await fake.until_open(1)
    assert (await client.responses.retrieve(made.id)).status == "in_progress"
    fake.hold.set()
    await fake.until_open(0)
    async with asyncio.timeout(10):
        while (found := await client.responses.retrieve(made.id)).status == "in_progress":
            pass
    assert (found.status, found.output_text) == ("completed", "Hello there.")


async def test_in_the_background_it_can_be_called_off(client: openai.AsyncOpenAI, fake) -> None:
    fake.hold = asyncio.Event()
    made = await client.responses.create(model="tiny", input="Hi", background=True)
    await fake.until_open(1)
    assert (await client.responses.cancel(made.id)).status == "cancelled"
    assert fake.open == 0
    assert (await client.responses.retrieve(made.id)).status == "cancelled"


async def test_only_a_background_response_can_be_called_off(client: openai.AsyncOpenAI) -> None:
    made = await client.responses.create(model="tiny", input="Hi")
    with pytest.raises(openai.BadRequestError, match="synchronous"):
        await client.responses.cancel(made.id)


async def test_a_background_stream_is_taken_up_again_where_it_was_left(client: openai.AsyncOpenAI, fake) -> None:
    whole = [
        event async for event in await client.responses.create(model="tiny", input="Hi", background=True, stream=True)
    ]
    assert whole[-1].type == "response.completed"
    rest = [
        event async for event in await client.responses.retrieve(whole[0].response.id, stream=True, starting_after=4)
    ]
    assert [event.sequence_number for event in rest] == [event.sequence_number for event in whole[5:]]
    fake.hold = asyncio.Event()
    stream = await client.responses.create(model="tiny", input="Hi", background=True, stream=True)
    first = await anext(aiter(stream))
    await stream.close()
    fake.hold.set()
    again = [event.type async for event in await client.responses.retrieve(first.response.id, stream=True)]
    assert again == [event.type for event in whole]


async def test_logprobs_only_when_included(client: openai.AsyncOpenAI, fake) -> None:
    fake.answer = lambda _: [[TokenChunk(text="a", logprobs=(TokenLogprob("a", -0.5, 1, b"a"),)), END]]
    made = await client.responses.create(
        model="tiny", input="Hi", include=["message.output_text.logprobs"], top_logprobs=2
    )
    assert fake.requests[0].sampling.logprobs == 2
    assert made.output[0].content[0].logprobs[0].logprob == -0.5


async def test_input_tokens_are_counted_without_generating(client: openai.AsyncOpenAI, fake) -> None:
    counted = await client.responses.input_tokens.count(model="tiny", input="Hi", instructions="Be kind.")
    assert counted.input_tokens == len("Be kind.\nHi")
    assert fake.requests == []


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({"input": None}, "input"),
        ({"input": []}, "input"),
        ({"input": [{"type": "hologram"}]}, "input[0].type"),
        ({"input": [{"role": "bot", "content": "x"}]}, "input[0].role"),
        ({"input": [{"role": "user"}]}, "input[0].content"),
        ({"input": [{"type": "function_call", "name": "f", "arguments": "{}"}]}, "input[0].call_id"),
        ({"input": [{"type": "function_call_output", "call_id": "c"}]}, "input[0].output"),
        ({"input": [{"type": "item_reference", "id": "x"}]}, "input[0].type"),  # routes put the item in its place
        ({"max_output_tokens": 0}, "max_output_tokens"),
        ({"temperature": 3}, "temperature"),
        ({"top_logprobs": 21}, "top_logprobs"),
        ({"text": {"format": {"type": "xml"}}}, "text.format.type"),
        ({"text": {"format": {"type": "json_schema", "name": "n"}}}, "text.format.schema"),
        ({"tools": [{"type": "function"}]}, "tools[0].name"),
        ({"tool_choice": {"type": "function", "name": "f"}}, "tool_choice"),
        ({"background": True, "store": False}, "background"),
        ({"conversation": "conv_1"}, "conversation"),
        ({"truncation": "middle"}, "truncation"),
        ({"metadata": {str(n): "x" for n in range(17)}}, "metadata"),
        ({"reasoning": {"effort": "huge"}}, "reasoning.effort"),
    ],
    ids=lambda value: str(value)[:60],
)  # fmt: skip
def test_refused_with_the_field_at_fault(body: dict[str, Any], param: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        asked = convert({**ASK, **body}, ResponsesRequest, strict=False)
        responses(asked, own_input(asked), INFO, Settings())
    assert caught.value.param == param


def test_thoughts_are_read_where_they_are() -> None:
    for thought in (
        {"content": [{"type": "reasoning_text", "text": "hm"}], "summary": []},
        {"content": [], "summary": [{"type": "summary_text", "text": "hm"}]},
        {"content": None, "summary": [{"type": "summary_text", "text": "hm"}]},
    ):
        told = [{"type": "reasoning", "id": "rs_1", **thought}, {"role": "assistant", "content": "a"}]
        asked = convert({**ASK, "input": told}, ResponsesRequest, strict=False)
        said = responses(asked, own_input(asked), INFO, Settings()).input.messages
        assert said == (Message(role="assistant", parts=(Text("a"),), reasoning="hm"),)


async def test_what_messages_said_is_read_back_in_parts(client: openai.AsyncOpenAI) -> None:
    told = [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}, {"role": "user", "content": "c"}]
    made = await client.responses.create(model="tiny", input=told)
    items = await client.responses.input_items.list(made.id, order="asc")
    found = [(item.content[0].type, item.content[0].text) for item in items.data]
    assert found == [("input_text", "a"), ("output_text", "b"), ("input_text", "c")]


class TestForgetful:
    @pytest.fixture
    def settings(self) -> Settings:
        return Settings(response_ttl=0)

    async def test_without_a_lifetime_nothing_is_kept(self, client: openai.AsyncOpenAI) -> None:
        made = await client.responses.create(model="tiny", input="Hi")
        assert made.output_text == "Hello there."
        with pytest.raises(openai.NotFoundError):
            await client.responses.retrieve(made.id)

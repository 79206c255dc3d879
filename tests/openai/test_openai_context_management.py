"""Compaction within a response: because the conversation is long, or because its last item is a trigger."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import httpx
import openai
import pytest
from openai.types.responses import Response

from hyperllama.generation import GenerationRequest, TokenChunk, Usage
from hyperllama.testing.fakes import FakeGateway

PASS = [TokenChunk(text="They want rain. é😀"), TokenChunk(tokens=0, finish_reason="stop", usage=Usage(50, 4, 1, 2))]
REPLY = [TokenChunk(text="Yes."), TokenChunk(tokens=0, finish_reason="stop", usage=Usage(7, 2, 3, 1))]
LONG = "It was a long answer. " * 8


def said(role: str, text: str) -> dict[str, Any]:
    kind = "output_text" if role == "assistant" else "input_text"
    return {"type": "message", "role": role, "content": [{"type": kind, "text": text}]}


HI, HELLO, RAIN = said("user", "Hi"), said("assistant", LONG), said("user", "Will it rain?")
CALL = {"type": "function_call", "call_id": "c1", "name": "f", "arguments": "{}"}
RESULT = {"type": "function_call_output", "call_id": "c1", "output": LONG}
TRIGGER = {"type": "compaction_trigger"}


def over(threshold: int | None = 100) -> dict[str, Any]:
    entry = {"type": "compaction"} if threshold is None else {"type": "compaction", "compact_threshold": threshold}
    return {"model": "tiny", "context_management": [entry]}


def is_pass(request: GenerationRequest) -> bool:
    return "Summarize" in request.input.messages[-1].text  # type: ignore[union-attr]


@pytest.fixture(autouse=True)
def summarizing(fake: FakeGateway) -> None:
    fake.answer = lambda request: PASS if is_pass(request) else REPLY


def spoken(request: GenerationRequest) -> list[tuple[str, str]]:
    return [(message.role, message.text) for message in request.input.messages]  # type: ignore[union-attr]


async def made(http: httpx.AsyncClient, **body: Any) -> dict[str, Any]:
    """Return the response, the same whole and as a stream, whose events are well-formed."""
    whole = await http.post("/v1/responses", json=body)
    assert whole.status_code == 200, whole.text
    Response.model_validate_json(whole.content, strict=True)
    stream = await http.post("/v1/responses", json={**body, "stream": True})
    events = [json.loads(line[6:]) for line in stream.text.splitlines() if line.startswith("data: ")]
    assert [event["sequence_number"] for event in events] == list(range(len(events)))
    last = events[-1]["response"]
    assert [event["item"] for event in events if event["type"] == "response.output_item.done"] == last["output"]
    opened = [event for event in events if event["type"] == "response.output_item.added"]
    assert [event["output_index"] for event in opened] == list(range(len(last["output"])))
    assert [event["item"]["id"] for event in opened] == [item["id"] for item in last["output"]]
    assert all(event["item"].get("encrypted_content", "") == "" for event in opened)
    compacting = [event for event in events if event["type"] == "response.compaction.compacting"]
    triggered = isinstance(body["input"], list) and body["input"][-1] == TRIGGER
    assert [event["output_index"] for event in compacting] == ([0] if triggered else [])

    def shape(response: dict[str, Any]) -> list[Any]:
        items = [{key: value for key, value in item.items() if key != "id"} for item in response["output"]]
        return [response["status"], response["usage"], items]

    assert shape(last) == shape(whole.json())
    return whole.json()


async def test_a_trigger_at_the_end_is_answered_by_a_summary(http: httpx.AsyncClient, fake: FakeGateway) -> None:
    response = await made(http, model="tiny", input=[HI, HELLO, RAIN, TRIGGER], instructions="Be kind.")
    (item,) = response["output"]
    assert (item["type"], item["id"][:4], response["status"]) == ("compaction", "cmp_", "completed")
    assert response["usage"]["total_tokens"] == 54
    first = fake.requests[0]
    assert spoken(first)[:-1] == [
        ("system", "Be kind."),
        ("user", "Hi"),
        ("assistant", LONG),
        ("user", "Will it rain?"),
    ]
    more = {"model": "tiny", "input": "When?", "previous_response_id": response["id"]}
    assert (await http.post("/v1/responses", json=more)).status_code == 200
    assert [role for role, _ in spoken(fake.requests[-1])] == ["user"] * 4
    assert "They want rain. é😀" in spoken(fake.requests[-1])[2][1]
    refused = await http.post("/v1/responses", json={"model": "tiny", "input": [HI, TRIGGER], "prompt": {"id": "p"}})
    assert (refused.status_code, refused.json()["error"]["param"]) == (400, "prompt")


@pytest.mark.parametrize("text", ["", " \n"])
async def test_a_trigger_without_a_summary_fails(http: httpx.AsyncClient, fake: FakeGateway, text: str) -> None:
    fake.answer = lambda _: [TokenChunk(reasoning="hm"), TokenChunk(text=text), PASS[-1]]
    body = {"model": "tiny", "input": [HI, TRIGGER]}
    whole = await http.post("/v1/responses", json=body)
    assert (whole.status_code, whole.json()["error"]["message"]) == (502, "The model wrote no summary.")
    stream = await http.post("/v1/responses", json={**body, "stream": True})
    last = json.loads(stream.text.rstrip().splitlines()[-1][6:])
    assert (last["type"], last["response"]["error"]["code"]) == ("response.failed", "server_error")


async def test_a_long_conversation_is_summarized_before_the_answer(http: httpx.AsyncClient, fake: FakeGateway) -> None:
    response = await made(http, **over(), input=[HI, HELLO, RAIN], tools=[{"type": "function", "name": "f"}])
    item, message = response["output"]
    assert (item["type"], message["content"][0]["text"]) == ("compaction", "Yes.")
    assert item["id"] != message["id"]
    assert response["usage"] == {
        "input_tokens": 57,
        "input_tokens_details": {"cached_tokens": 4, "cache_write_tokens": 0},
        "output_tokens": 6,
        "output_tokens_details": {"reasoning_tokens": 3},
        "total_tokens": 63,
    }
    summarized, answered = fake.requests[:2]
    assert spoken(summarized)[:-1] == [("user", "Hi"), ("assistant", LONG)]  # the question is left to be answered
    assert summarized.tools == ()
    assert [role for role, _ in spoken(answered)] == ["user"] * 3
    assert spoken(answered)[0] == ("user", "Hi")
    assert "They want rain" in spoken(answered)[1][1]
    assert spoken(answered)[2] == ("user", "Will it rain?")
    assert [tool.name for tool in answered.tools] == ["f"]
    # It is gone on from by the id, and by the whole list.
    fake.requests.clear()
    byid = await http.post("/v1/responses", json={**over(), "input": "So?", "previous_response_id": response["id"]})
    listed = [HI, HELLO, RAIN, *response["output"], said("user", "So?")]
    whole = await http.post("/v1/responses", json={**over(), "input": listed})
    assert byid.status_code == whole.status_code == 200
    one, two = fake.requests  # no pass again
    assert spoken(one) == spoken(two)
    assert spoken(one)[-2:] == [("assistant", "Yes."), ("user", "So?")]


async def test_a_loop_of_tools_is_summarized_to_its_last_result(http: httpx.AsyncClient, fake: FakeGateway) -> None:
    response = await made(http, **over(), input=[RAIN, CALL, RESULT])
    assert [item["type"] for item in response["output"]] == ["compaction", "message"]
    assert [role for role, _ in spoken(fake.requests[0])] == ["user", "assistant", "tool", "user"]
    assert [role for role, _ in spoken(fake.requests[1])] == ["user", "user"]


@pytest.mark.parametrize(
    ("body", "items"),
    [
        (over(10_000), [HI, HELLO, RAIN]),  # short enough
        (over(None), [HI, HELLO, RAIN]),  # so it is for the context
        (over(), [said("user", LONG)]),  # nothing to summarize
        (over(), [said("user", LONG * 4), said("assistant", "Yes."), RAIN]),  # the user's words stay anyway
        ({"model": "tiny"}, [HI, HELLO, RAIN]),
        ({"model": "tiny", "context_management": []}, [HI, HELLO, RAIN]),
        ({"model": "tiny", "context_management": None}, [HI, HELLO, RAIN]),
    ],
)
async def test_no_pass_where_none_helps(
    http: httpx.AsyncClient, fake: FakeGateway, body: dict[str, Any], items: list[Any]
) -> None:
    response = await made(http, **body, input=items)
    assert [item["type"] for item in response["output"]] == ["message"]
    assert not any(map(is_pass, fake.requests))


async def test_without_a_threshold_the_context_counts(http: httpx.AsyncClient, fake: FakeGateway) -> None:
    response = await made(http, **over(None), input=[HI, *[HELLO, HI] * 5])  # 1024 tokens, one a character
    assert [item["type"] for item in response["output"]] == ["compaction", "message"]


async def test_in_the_background_too(client: openai.AsyncOpenAI, fake: FakeGateway) -> None:
    begun: Any = await client.responses.create(**over(), input=[HI, HELLO, RAIN], background=True)
    async with asyncio.timeout(20):
        while begun.status in ("queued", "in_progress"):
            await asyncio.sleep(0.01)
            begun = await client.responses.retrieve(begun.id)
    assert [item.type for item in begun.output] == ["compaction", "message"]


async def test_a_pass_that_fails_is_the_responses_failure(http: httpx.AsyncClient, fake: FakeGateway) -> None:
    fake.answer = lambda request: [PASS[-1]] if is_pass(request) else REPLY
    for more in ({}, {"stream": True}):
        reply = await http.post("/v1/responses", json={**over(), "input": [HI, HELLO, RAIN], **more})
        assert (reply.status_code, reply.json()["error"]["message"]) == (502, "The model wrote no summary.")
    await fake.until_open(0)


@pytest.mark.parametrize(
    ("value", "param"),
    [
        ([{"type": "other"}], "context_management[0].type"),
        ([{"type": "compaction"}, {"type": "clear"}], "context_management[1].type"),
        ([{"compact_threshold": 5}], "context_management[0].type"),
        ([{"type": "compaction", "compact_threshold": 0}], "context_management[0].compact_threshold"),
        ([{"type": "compaction", "compact_threshold": "5"}], "context_management[0].compact_threshold"),
        ({"type": "compaction"}, "context_management"),
    ],
)
async def test_refused_with_the_field_at_fault(http: httpx.AsyncClient, value: object, param: str) -> None:
    reply = await http.post("/v1/responses", json={"model": "tiny", "input": "Hi", "context_management": value})
    assert (reply.status_code, reply.json()["error"]["param"]) == (400, param)

"""Compaction: a summary in an opaque form, and what is read where it stands."""

from __future__ import annotations

import json
from typing import Any

import httpx
import openai
import pytest
from openai.types.responses import CompactedResponse, ResponseCompactionItem

from hyperllama.errors import ContextTooLong, EngineFailed, Overloaded
from hyperllama.generation import TokenChunk, Usage
from hyperllama.testing.fakes import FakeGateway
from hyperllama_openai import opaque
from hyperllama_openai.decode import summaries

END = TokenChunk(tokens=0, finish_reason="stop", usage=Usage(50, 4, 1, 2))
SUMMARY = [TokenChunk(reasoning="hm"), TokenChunk(text="They want "), TokenChunk(text="rain. é😀"), END]
IMAGE = {"type": "input_image", "image_url": "data:image/png;base64,aGk="}
CALL = {"type": "function_call", "call_id": "c1", "name": "f", "arguments": "{}"}


def said(role: str, text: str) -> dict[str, Any]:
    kind = "output_text" if role == "assistant" else "input_text"
    return {"type": "message", "role": role, "content": [{"type": kind, "text": text}]}


TALK = [
    said("developer", "Be kind."),
    said("user", "Hi"),
    {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": opaque.seal("they say hi")},
    said("assistant", "Hello."),
    {"role": "user", "content": "Will it rain?"},
    CALL,
    {"type": "function_call_output", "call_id": "c1", "output": "yes"},
]


async def compacted(http: httpx.AsyncClient, fake: FakeGateway, **more: Any) -> dict[str, Any]:
    fake.answer = lambda _: SUMMARY
    reply = await http.post("/v1/responses/compact", json={"model": "tiny", "input": TALK, **more})
    assert reply.status_code == 200, reply.text
    CompactedResponse.model_construct(**reply.json())
    return reply.json()


async def test_the_users_messages_stay_and_a_summary_stands_for_the_rest(
    http: httpx.AsyncClient, fake: FakeGateway
) -> None:
    found = await compacted(http, fake, instructions="Talk of weather.", prompt_cache_key="k")
    assert found["object"] == "response.compaction"
    assert found["id"].startswith("resp_")
    *users, item = found["output"]
    assert [(user["type"], user["role"], user["status"], user["content"]) for user in users] == [
        ("message", "user", "completed", [{"type": "input_text", "text": text}]) for text in ("Hi", "Will it rain?")
    ]
    assert len({item["id"] for item in found["output"]}) == 3
    ResponseCompactionItem.model_validate(item, strict=True)
    assert item["id"].startswith("cmp_")
    assert found["usage"] == {
        "input_tokens": 50,
        "input_tokens_details": {"cached_tokens": 1, "cache_write_tokens": 0},
        "output_tokens": 4,
        "output_tokens_details": {"reasoning_tokens": 2},
        "total_tokens": 54,
    }
    (asked,) = fake.requests
    *before, last = asked.input.messages
    assert [(message.role, message.text) for message in before] == [
        ("system", "Talk of weather.\n\nBe kind."),
        ("user", "Hi"),
        ("assistant", "Hello."),
        ("user", "Will it rain?"),
        ("assistant", ""),
        ("tool", "yes"),
    ]
    assert last.role == "user"
    assert "Summarize" in last.text
    assert asked.sampling.max_tokens is not None
    assert asked.reasoning is False


@pytest.mark.parametrize("path", ["/v1/responses", "/v1/responses/compact", "/v1/responses/input_tokens"])
@pytest.mark.parametrize("type_", sorted(summaries.KINDS))
async def test_a_summary_is_read_where_it_stands(
    http: httpx.AsyncClient, fake: FakeGateway, path: str, type_: str
) -> None:
    *users, item = (await compacted(http, fake))["output"]
    item = {**item, "type": type_}
    items = [said("system", "Be brief."), *users, item, said("assistant", "Yes."), said("user", "When?")]
    reply = await http.post(path, json={"model": "tiny", "input": items})
    assert reply.status_code == 200, reply.text
    if path.endswith("input_tokens"):  # a token a character
        without = [one for one in items if one is not item]
        less = await http.post(path, json={"model": "tiny", "input": without})
        assert reply.json()["input_tokens"] > less.json()["input_tokens"] + len("They want rain. é😀")
        return
    messages = fake.requests[-1].input.messages
    assert [message.role for message in messages][:6] == ["system", "user", "user", "user", "assistant", "user"]
    assert messages[3].text.endswith("They want rain. é😀")


async def test_what_a_summary_stands_for_is_left_out(http: httpx.AsyncClient, fake: FakeGateway) -> None:
    """A client that appends to its whole history sends all of it; only the user's own words are kept."""
    *_, item = (await compacted(http, fake))["output"]
    for stream in (False, True):
        body = {"model": "tiny", "input": [*TALK, item, said("user", "When?")], "stream": stream}
        assert (await http.post("/v1/responses", json=body)).status_code == 200
        messages = fake.requests[-1].input.messages
        assert [(m.role, m.text) for m in messages if "They want rain" not in m.text] == [
            ("system", "Be kind."),
            ("user", "Hi"),
            ("user", "Will it rain?"),
            ("user", "When?"),
        ]
        assert not any(message.tool_calls or message.reasoning for message in messages)


@pytest.mark.filterwarnings("ignore:Pydantic serializer")  # the SDK's own type for the user's messages is the model's
async def test_the_previous_response_is_summarized_too(client: openai.AsyncOpenAI, fake: FakeGateway) -> None:
    first = await client.responses.create(model="tiny", input="Hi", instructions="Be mean.")
    fake.answer = lambda _: SUMMARY
    found = await client.responses.compact(model="tiny", previous_response_id=first.id)
    assert [item.type for item in found.output] == ["message", "compaction"]
    assert [message.role for message in fake.requests[-1].input.messages] == ["user", "assistant", "user"]
    more = await client.responses.compact(model="tiny", previous_response_id=first.id, input="Bye", instructions="x")
    assert [getattr(item, "role", "") for item in more.output] == ["user", "user", ""]
    # What came out goes in, as the SDK holds it, and can be gone on from by its id.
    last = await client.responses.create(model="tiny", input=[*found.output, {"role": "user", "content": "So?"}])
    await client.responses.create(model="tiny", input="And?", previous_response_id=last.id)
    assert "They want rain" in fake.requests[-1].input.messages[1].text


async def test_files_and_images_stay_as_the_user_sent_them(http: httpx.AsyncClient, fake: FakeGateway) -> None:
    document = {"type": "input_file", "filename": "a.txt", "file_data": "data:text/plain;base64,aGk="}
    user = {"type": "message", "role": "user", "content": [document]}
    (kept, _) = (await compacted(http, fake, input=[user]))["output"]
    assert kept["content"] == [document]
    assert "hi" in fake.requests[-1].input.messages[0].text


def changed(sealed: str) -> dict[str, str]:
    """Return opaque texts of ours that nobody can have got from us."""
    middle = len(sealed) // 2
    other = "A" if sealed[middle] != "A" else "B"
    return {
        "a changed letter": sealed[:middle] + other + sealed[middle + 1 :],
        "cut short": sealed[:-8],
        "longer": sealed + "AAAA",
        "empty": "hlt1.",
        "no base64": "hlt1.é",
        "another caller's": summaries.seal("They want rain.", "another"),
        "thoughts": opaque.seal("They want rain."),
    }


@pytest.mark.parametrize("how", changed("hlt1.aGVsbG8gd29ybGQh"))
async def test_a_summary_that_is_not_the_callers_is_refused(
    http: httpx.AsyncClient, fake: FakeGateway, how: str
) -> None:
    *_, item = (await compacted(http, fake))["output"]
    fake.requests.clear()
    item = {**item, "encrypted_content": changed(item["encrypted_content"])[how]}
    for path in ("/v1/responses", "/v1/responses/compact", "/v1/responses/input_tokens"):
        for more in ({}, {"stream": True}):
            reply = await http.post(path, json={"model": "tiny", "input": [TALK[1], item], **more})
            error = reply.json()["error"]
            assert (reply.status_code, error["code"]) == (400, "invalid_encrypted_content"), reply.text
            assert (error["type"], error["param"]) == ("invalid_request_error", "input[1].encrypted_content")
            assert "could not be verified" in error["message"]
    assert not fake.requests


def test_a_summary_is_no_thought() -> None:
    sealed = summaries.seal("They want rain.", "me")
    assert opaque.unseal(sealed) is None
    assert opaque.unseal(sealed, "compaction me") == "They want rain."


@pytest.mark.parametrize(
    "answer",
    [
        [END],
        [TokenChunk(reasoning="only thoughts"), END],
        [TokenChunk(text=" \n"), END],
        [TokenChunk(text="It broke"), EngineFailed("The engine stopped.")],
        [TokenChunk(text="It broke")],
    ],
)
async def test_no_summary_is_an_error(http: httpx.AsyncClient, fake: FakeGateway, answer: list[Any]) -> None:
    fake.answer = lambda _: answer
    reply = await http.post("/v1/responses/compact", json={"model": "tiny", "input": "Hi"})
    assert (reply.status_code, reply.json()["error"]["type"]) == (502, "server_error")
    await fake.until_open(0)


@pytest.mark.parametrize(
    ("body", "status", "param"),
    [
        ({"model": "tiny"}, 400, "input"),
        ({"model": "tiny", "input": []}, 400, "input"),
        ({"input": "Hi"}, 400, "model"),
        ({"model": None, "input": "Hi"}, 400, "model"),
        ({"model": "nope", "input": "Hi"}, 404, "model"),
        ({"model": "tiny", "input": [{"role": "user"}]}, 400, "input[0].content"),
        ({"model": "tiny", "input": "x" * 9000}, 400, "input"),
        ({"model": "tiny", "previous_response_id": "resp_1"}, 400, "previous_response_id"),
    ],
)
async def test_refused_with_the_field_at_fault(
    http: httpx.AsyncClient, body: dict[str, Any], status: int, param: str
) -> None:
    reply = await http.post("/v1/responses/compact", json=body)
    assert (reply.status_code, reply.json()["error"]["param"]) == (status, param), reply.text


async def test_a_full_server_and_a_full_context_answer_as_everywhere(
    http: httpx.AsyncClient, fake: FakeGateway, too_long: ContextTooLong
) -> None:
    for refusal, status, code in (
        (Overloaded("Full.", retry_after=1), 503, None),
        (too_long, 400, "context_length_exceeded"),
    ):
        fake.refusal = refusal
        reply = await http.post("/v1/responses/compact", json={"model": "tiny", "input": "Hi"})
        assert reply.status_code == status
        assert code is None or reply.json()["error"]["code"] == code
    assert json.loads(reply.content)["error"]["param"] == "input"

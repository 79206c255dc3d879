"""The ten rules that make most clients work, a test each; what a stream is byte for byte is beside this."""

from __future__ import annotations

import json

import httpx
import openai
import pytest

from hyperllama.errors import EngineFailed, Overloaded
from hyperllama.generation import TokenChunk, TokenLogprob, ToolCallDelta, TopLogprob, Usage
from hyperllama_openai.encode.chat_stream import ChatEncoder
from hyperllama_openai.encode.completions_stream import CompletionEncoder
from hyperllama_openai.encode.shape import ReplyShape

CHAT = {"model": "tiny", "messages": [{"role": "user", "content": "Hi"}], "stream": True}
HEAD = '{"id":"chatcmpl-1","object":"chat.completion.chunk","created":7,"model":"m","choices":['
END = TokenChunk(tokens=0, finish_reason="stop", usage=Usage(5, 2))
CALLED = TokenChunk(tokens=0, finish_reason="tool_calls", usage=Usage(5, 9))


def encoder(**options: object) -> ChatEncoder:
    return ChatEncoder(ReplyShape(id="chatcmpl-1", created=7, model="m", **options))  # type: ignore[arg-type]


def call(index: int, arguments: str = "", id: str | None = None, name: str | None = None) -> TokenChunk:
    return TokenChunk(tool_calls=(ToolCallDelta(index, arguments, id, name),))


ROLE = '{"index":0,"delta":{"role":"assistant","content":"","refusal":null},"logprobs":null,"finish_reason":null}'
STOP = '{"index":0,"delta":{},"logprobs":null,"finish_reason":"stop"}'


def text(delta: str, index: int = 0) -> str:
    return f'{{"index":{index},"delta":{delta},"logprobs":null,"finish_reason":null}}'


def test_two_choices_open_in_order_whichever_speaks_first() -> None:
    spelling = encoder(n=2)
    raw = [
        spelling.chunks(1, [TokenChunk(text="b")]),
        spelling.chunks(0, [TokenChunk(text="a"), END]),
        spelling.chunks(1, [END]),
        spelling.end(),
    ]
    events = [event.removeprefix(f"data: {HEAD}").removesuffix("]}") for event in b"".join(raw).decode().split("\n\n")]
    assert events == [
        ROLE,
        ROLE.replace('"index":0', '"index":1'),
        text('{"content":"b"}', 1),
        text('{"content":"a"}', 0),
        STOP,
        STOP.replace('"index":0', '"index":1'),
        "data: [DONE]",
        "",
    ]


def test_a_completion_with_everything_at_once() -> None:
    spelling = CompletionEncoder(
        ReplyShape(id="cmpl-1", created=7, model="m", include_usage=True, logprobs=1, token_ids=True), echoes=["E"]
    )
    chunk = TokenChunk(text="ab", token_ids=(4, 5), logprobs=(
        TokenLogprob("a", -0.5, 4, b"a", (TopLogprob("a", -0.5, 4, b"a"),)),
        TokenLogprob("b", -0.25, 5, b"b", (TopLogprob("b", -0.25, 5, b"b"),)),
    ))  # fmt: skip
    end = TokenChunk(tokens=0, finish_reason="stop", usage=Usage(5, 2), stop_match="!", prompt_token_ids=(1,))
    events = (spelling.chunks(0, [chunk, end]) + spelling.end()).decode().split("\n\n")
    head = 'data: {"id":"cmpl-1","object":"text_completion","created":7,"model":"m","choices":['
    assert [event.removeprefix(head) for event in events[:3]] == [
        '{"index":0,"text":"E","logprobs":null,"finish_reason":null}]}',
        (
            '{"index":0,"text":"ab","logprobs":{"tokens":["a","b"],"token_logprobs":[-0.5,-0.25],'
            '"top_logprobs":[{"a":-0.5},{"b":-0.25}],"text_offset":[1,2]},"finish_reason":null,"token_ids":[4,5]}]}'
        ),
        (
            '{"index":0,"text":"","logprobs":null,"finish_reason":"stop","stop_reason":"!","token_ids":[],'
            '"prompt_token_ids":[1]}]}'
        ),
    ]
    assert events[3].startswith(head + '],"usage":{"prompt_tokens":5,')
    assert events[4:] == ["data: [DONE]", ""]


def parse(body: str) -> list[dict[str, object]]:
    lines = [line.removeprefix("data: ") for line in body.split("\n\n") if line]
    assert lines[-1] == "[DONE]"
    return [json.loads(line) for line in lines[:-1]]


async def test_rule_1_every_chunk_has_choices_and_the_usage_chunk_has_none(http: httpx.AsyncClient) -> None:
    reply = await http.post("/v1/chat/completions", json={**CHAT, "stream_options": {"include_usage": True}})
    chunks = parse(reply.text)
    assert all(isinstance(chunk["choices"], list) for chunk in chunks)
    assert chunks[-1]["choices"] == []
    assert [("usage" in chunk) for chunk in chunks] == [False] * (len(chunks) - 1) + [True]
    assert len({(chunk["id"], chunk["created"], chunk["model"]) for chunk in chunks}) == 1


async def test_rule_2_the_role_comes_once_per_choice_and_first(http: httpx.AsyncClient) -> None:
    reply = await http.post("/v1/chat/completions", json={**CHAT, "n": 3})
    for index in range(3):
        deltas = [c["choices"][0]["delta"] for c in parse(reply.text) if c["choices"][0]["index"] == index]
        assert ["role" in delta for delta in deltas] == [True] + [False] * (len(deltas) - 1)


async def test_rule_3_a_call_is_named_once(client: openai.AsyncOpenAI, fake) -> None:
    fake.answer = lambda _: [[call(0, "{", "call_1", "f")], [call(0, "}"), CALLED]]
    async with client.chat.completions.stream(model="tiny", messages=[{"role": "user", "content": "Hi"}]) as stream:
        message = (await stream.get_final_completion()).choices[0].message
    assert message.tool_calls is not None
    assert [(item.id, item.function.name, item.function.arguments) for item in message.tool_calls] == [
        ("call_1", "f", "{}")
    ]


async def test_rule_4_tool_indexes_are_dense_from_zero(client: openai.AsyncOpenAI, fake) -> None:
    fake.answer = lambda _: [[call(1, "{}", "call_1", "f"), call(4, "{}", "call_2", "g"), CALLED]]
    found = [
        item.index
        async for chunk in await client.chat.completions.create(**CHAT)
        for item in chunk.choices[0].delta.tool_calls or ()
    ]
    assert found == [0, 1]


async def test_rule_5_one_finish_per_choice_and_an_error_where_there_is_none(http: httpx.AsyncClient, fake) -> None:
    good = parse((await http.post("/v1/chat/completions", json=CHAT)).text)
    assert sum(bool(chunk["choices"][0]["finish_reason"]) for chunk in good) == 1
    fake.answer = lambda _: [[TokenChunk(text="half")]]
    text = (await http.post("/v1/chat/completions", json=CHAT)).text
    assert "[DONE]" not in text  # nothing may take it for a whole answer
    last = json.loads(text.rstrip().splitlines()[-1].removeprefix("data: "))
    assert last["error"]["code"] == "engine_failed"


async def test_rule_6_every_event_ends_with_a_blank_line_and_done_is_last(http: httpx.AsyncClient) -> None:
    reply = await http.post("/v1/chat/completions", json=CHAT)
    assert reply.text.endswith("}\n\ndata: [DONE]\n\n")
    assert reply.headers["content-type"] == "text/event-stream; charset=utf-8"
    assert reply.headers["x-accel-buffering"] == "no"
    assert reply.headers["cache-control"] == "no-cache"


async def test_rule_7_the_sdk_gets_its_base64_and_makes_numbers_of_it(client: openai.AsyncOpenAI) -> None:
    found = await client.embeddings.create(model="tiny", input=["ab"])
    assert found.data[0].embedding == [0.5, -1.25, 2.0, 2.0]


async def test_rule_8_an_error_keeps_its_message_code_and_param(client: openai.AsyncOpenAI) -> None:
    with pytest.raises(openai.BadRequestError) as caught:
        await client.chat.completions.create(model="tiny", messages=[], stream=True)
    assert "messages" in caught.value.message
    assert (caught.value.code, caught.value.param) == ("invalid_value", "messages")


async def test_rule_9_before_the_first_token_a_status_and_after_it_one_frame(client, fake) -> None:
    fake.answer = lambda _: [Overloaded("The queue is full.", retry_after=2.5)]
    with pytest.raises(openai.InternalServerError) as early:
        await client.chat.completions.create(**CHAT)
    assert early.value.status_code == 503
    assert early.value.response.headers["retry-after"] == "3"
    assert early.value.response.headers["retry-after-ms"] == "2500"
    fake.answer = lambda _: [[TokenChunk(text="a")], EngineFailed("The engine broke.")]
    with pytest.raises(openai.APIError, match="The engine broke") as late:
        async for _ in await client.chat.completions.create(**CHAT):
            pass
    assert not isinstance(late.value, openai.APIStatusError)


async def test_rule_10_unknown_fields_are_ignored(client: openai.AsyncOpenAI, fake) -> None:
    extra = {"provider": {"order": ["x"]}, "mirostat": 2, "whatever": None}
    reply = await client.chat.completions.create(**{**CHAT, "stream": False}, extra_body=extra)
    assert reply.choices[0].message.content == "Hello there."
    assert "whatever" not in str(fake.requests[0])


def test_token_ids_of_chunks_without_text_are_not_lost() -> None:
    pieces = [TokenChunk(token_ids=(6,)), TokenChunk(text="a", token_ids=(7,)), END]
    raw = encoder(token_ids=True).chunks(0, pieces).decode()
    events = [json.loads(line.removeprefix("data: ")) for line in raw.split("\n\n") if line]
    assert [token for event in events for choice in event["choices"] for token in choice.get("token_ids", [])] == [6, 7]

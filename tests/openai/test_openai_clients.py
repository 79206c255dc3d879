"""The official Python client's ordinary jobs, over a real socket."""

from __future__ import annotations

import asyncio
import json

import httpx
import openai
import pytest
from pydantic import BaseModel

from hyperllama.generation import AnyTool, JsonSchema, NamedTool, TokenChunk, TokenLogprob, ToolCallDelta, Usage

HI = [{"role": "user", "content": "Hi"}]
WEATHER = {
    "type": "function",
    "function": {
        "name": "weather",
        "strict": True,
        "parameters": {
            "type": "object",
            "properties": {"city": {"type": "string"}},
            "required": ["city"],
            "additionalProperties": False,
        },
    },
}


class Person(BaseModel):
    name: str
    age: int


def ends(reason: str, text: str = "") -> TokenChunk:
    return TokenChunk(text=text, tokens=0, finish_reason=reason, usage=Usage(3, 4, 1, 2))


def say(*words: str):
    return lambda _: [[TokenChunk(text=word) for word in words], [ends("stop")]]


async def test_chat_in_one_piece_and_streamed_say_the_same(client: openai.AsyncOpenAI) -> None:
    whole = await client.chat.completions.create(model="tiny", messages=HI)
    pieces = [
        chunk.choices[0].delta.content or ""
        async for chunk in await client.chat.completions.create(model="tiny", messages=HI, stream=True)
    ]
    assert whole.choices[0].message.content == "".join(pieces) == "Hello there."
    assert pieces == ["", "Hello", " there", ".", ""]


async def test_the_stream_helper_adds_everything_up(client: openai.AsyncOpenAI, fake) -> None:
    fake.answer = lambda _: [[TokenChunk(reasoning="hm"), TokenChunk(text="a"), TokenChunk(text="b")], [ends("stop")]]
    async with client.chat.completions.stream(
        model="tiny", messages=HI, stream_options={"include_usage": True}
    ) as stream:
        seen = [event.type async for event in stream]
        final = await stream.get_final_completion()
    assert final.choices[0].message.role == "assistant"
    assert final.choices[0].message.content == "ab"
    assert final.usage is not None
    assert final.usage.total_tokens == 7
    assert final.usage.prompt_tokens_details.cached_tokens == 1
    assert final.usage.completion_tokens_details.reasoning_tokens == 2
    assert "content.done" in seen


async def test_the_stream_helper_with_several_choices(client: openai.AsyncOpenAI, fake) -> None:
    async with client.chat.completions.stream(model="tiny", messages=HI, n=3) as stream:
        final = await stream.get_final_completion()
    assert [choice.message.content for choice in final.choices] == ["Hello there."] * 3
    assert [choice.finish_reason for choice in final.choices] == ["stop"] * 3


async def test_parse_gives_the_model_class_back(client: openai.AsyncOpenAI, fake) -> None:
    fake.answer = say('{"name":"Ann",', '"age":7}')
    parsed = await client.chat.completions.parse(model="tiny", messages=HI, response_format=Person)
    assert parsed.choices[0].message.parsed == Person(name="Ann", age=7)
    output = fake.requests[0].output
    assert isinstance(output, JsonSchema)
    assert output.schema["additionalProperties"] is False
    async with client.chat.completions.stream(model="tiny", messages=HI, response_format=Person) as stream:
        streamed = await stream.get_final_completion()
    assert streamed.choices[0].message.parsed == Person(name="Ann", age=7)


async def test_a_truncated_answer_is_told_from_a_whole_one(client: openai.AsyncOpenAI, fake) -> None:
    fake.answer = lambda _: [[TokenChunk(text='{"name":'), ends("length")]]
    with pytest.raises(openai.LengthFinishReasonError):
        await client.chat.completions.parse(model="tiny", messages=HI, response_format=Person)


async def test_tools_called_whole_and_streamed(client: openai.AsyncOpenAI, fake) -> None:
    fake.answer = lambda _: [
        [TokenChunk(tool_calls=(ToolCallDelta(0, '{"city"', "call_1", "weather"),))],
        [TokenChunk(tool_calls=(ToolCallDelta(0, ':"Oslo"}'),)), ends("tool_calls")],
    ]
    whole = await client.chat.completions.create(model="tiny", messages=HI, tools=[WEATHER], tool_choice="required")
    assert fake.requests[0].tool_choice == AnyTool()
    message = whole.choices[0].message
    assert (message.content, whole.choices[0].finish_reason) == (None, "tool_calls")
    call = message.tool_calls[0]
    assert (call.id, call.type, call.function.name) == ("call_1", "function", "weather")
    assert json.loads(call.function.arguments) == {"city": "Oslo"}
    async with client.chat.completions.stream(model="tiny", messages=HI, tools=[WEATHER]) as stream:
        final = await stream.get_final_completion()
    assert final.choices[0].message.tool_calls[0].function.parsed_arguments == {"city": "Oslo"}
    follow = [*HI, message.model_dump(), {"role": "tool", "tool_call_id": "call_1", "content": "Rain"}]
    fake.answer = say("Wet.")
    reply = await client.chat.completions.create(model="tiny", messages=follow, tools=[WEATHER])
    assert reply.choices[0].message.content == "Wet."
    assert fake.requests[-1].input.messages[2].name == "weather"


async def test_a_forced_call_ends_with_stop_as_openai_has_it(client: openai.AsyncOpenAI, fake) -> None:
    fake.answer = lambda _: [[TokenChunk(tool_calls=(ToolCallDelta(0, "{}", "c", "weather"),)), ends("tool_calls")]]
    choice = {"type": "function", "function": {"name": "weather"}}
    whole = await client.chat.completions.create(model="tiny", messages=HI, tools=[WEATHER], tool_choice=choice)
    assert fake.requests[0].tool_choice == NamedTool("weather")
    assert (whole.choices[0].finish_reason, len(whole.choices[0].message.tool_calls)) == ("stop", 1)


async def test_logprobs_of_a_whole_answer(client: openai.AsyncOpenAI, fake) -> None:
    probs = (TokenLogprob("a", -0.5, 1, b"a"), TokenLogprob("b", float("-inf"), 2, b"b"))
    fake.answer = lambda _: [[TokenChunk(text="ab", tokens=2, logprobs=probs), ends("stop")]]
    chat = await client.chat.completions.create(model="tiny", messages=HI, logprobs=True, top_logprobs=0)
    assert [(item.token, item.logprob, item.bytes) for item in chat.choices[0].logprobs.content] == [
        ("a", -0.5, [97]),
        ("b", -9999.0, [98]),
    ]
    assert chat.choices[0].logprobs.refusal is None
    text = await client.completions.create(model="tiny", prompt="x", logprobs=0)
    assert text.choices[0].logprobs.token_logprobs == [-0.5, -9999.0]
    assert text.choices[0].logprobs.text_offset == [0, 1]


async def test_the_likeliest_of_several_candidates_is_answered(client: openai.AsyncOpenAI, fake) -> None:
    likelihoods = iter([-3.0, -1.0, -2.0])

    def answer(_):
        word = next(likelihoods)
        return [[TokenChunk(text=str(word), logprobs=(TokenLogprob("x", word, 1, b"x"),)), ends("stop")]]

    fake.answer = answer
    text = await client.completions.create(model="tiny", prompt="x", best_of=3)
    assert [choice.text for choice in text.choices] == ["-1.0"]
    assert text.choices[0].logprobs is None
    assert text.usage.completion_tokens == 12


async def test_completions_stream_several_prompts(client: openai.AsyncOpenAI) -> None:
    texts = {0: "", 1: ""}
    async for chunk in await client.completions.create(
        model="tiny", prompt=["a", "b"], stream=True, stream_options={"include_usage": True}
    ):
        for choice in chunk.choices:
            texts[choice.index] += choice.text
        usage = chunk.usage
    assert texts == {0: "Hello there.", 1: "Hello there."}
    assert usage is not None
    assert (usage.prompt_tokens, usage.completion_tokens) == (2, 6)


async def test_raw_and_streaming_responses_show_the_headers(client: openai.AsyncOpenAI) -> None:
    raw = await client.chat.completions.with_raw_response.create(
        model="tiny", messages=HI, extra_headers={"x-request-id": "mine-1"}
    )
    assert raw.headers["x-request-id"] == "mine-1"
    assert int(raw.headers["openai-processing-ms"]) >= 0
    assert raw.parse().choices[0].message.content == "Hello there."
    async with client.chat.completions.with_streaming_response.create(model="tiny", messages=HI, stream=True) as reply:
        lines = [line async for line in reply.iter_lines() if line]
    assert lines[-1] == "data: [DONE]"


async def test_models_through_the_client(client: openai.AsyncOpenAI) -> None:
    assert [model.id async for model in client.models.list()] == ["org/tiny", "tiny"]
    assert (await client.models.retrieve("org/tiny")).id == "org/tiny"
    with pytest.raises(openai.NotFoundError) as caught:
        await client.models.retrieve("org/huge")
    assert caught.value.code == "model_not_found"


async def test_leaving_a_stream_early_gives_the_generation_back(client: openai.AsyncOpenAI, fake) -> None:
    fake.answer = lambda _: [[TokenChunk(text="a")] for _ in range(100_000)]
    async with await client.chat.completions.create(model="tiny", messages=HI, stream=True) as stream:
        async for chunk in stream:
            if chunk.choices[0].delta.content:
                break
    await fake.until_open(0)
    assert len(fake.requests) == 1


async def test_the_synchronous_client_does_the_same(base_url: str, fake) -> None:
    def jobs() -> tuple[object, ...]:
        with openai.OpenAI(base_url=base_url, api_key="none", max_retries=0) as client:  # the bare host, without /v1
            whole = client.chat.completions.create(model="tiny", messages=HI)
            with client.chat.completions.stream(model="tiny", messages=HI) as stream:
                final = stream.get_final_completion()
            text = client.completions.create(model="tiny", prompt="x")
            vector = client.embeddings.create(model="tiny", input="abc", dimensions=3)
            return (
                whole.choices[0].message.content,
                final.choices[0].message.content,
                text.choices[0].text,
                vector.data[0].embedding,
            )

    assert await asyncio.to_thread(jobs) == ("Hello there.", "Hello there.", "Hello there.", [0.5, -1.25, 3.0])


async def test_a_stop_string_is_kept_only_when_asked(http: httpx.AsyncClient, fake) -> None:
    end = TokenChunk(tokens=0, finish_reason="stop", usage=Usage(1, 1), stop_match="!")
    fake.answer = lambda _: [[TokenChunk(text="a"), end]]
    body = {"model": "tiny", "messages": HI, "stop": "!"}
    plain = (await http.post("/v1/chat/completions", json=body)).json()["choices"][0]
    kept = (await http.post("/v1/chat/completions", json={**body, "include_stop_str_in_output": True})).json()
    assert (plain["message"]["content"], plain["stop_reason"]) == ("a", "!")
    assert kept["choices"][0]["message"]["content"] == "a!"

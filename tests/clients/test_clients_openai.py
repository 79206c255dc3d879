"""The official Python client, both kinds: chat, completions, Responses, vectors, models and its helpers."""

from __future__ import annotations

import json
import math
from collections.abc import AsyncIterator, Iterator
from typing import Any

import openai
import pytest


@pytest.fixture
def client(gateway: Any) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=gateway.v1, api_key="none", max_retries=0, timeout=600) as found:
        yield found


@pytest.fixture
async def async_client(gateway: Any) -> AsyncIterator[openai.AsyncOpenAI]:
    async with openai.AsyncOpenAI(base_url=gateway.v1, api_key="none", max_retries=0, timeout=600) as found:
        yield found


def ask(gateway: Any, **fields: Any) -> dict[str, Any]:
    """A question whose answer is the same every time."""
    said = [{"role": "user", "content": fields.pop("said", gateway.question)}]
    return {"model": gateway.chat, "messages": said, "temperature": 0, "max_tokens": 64, **fields}


def test_a_chat_streamed_is_the_chat_in_one_piece(client: openai.OpenAI, gateway: Any) -> None:
    whole = client.chat.completions.create(**ask(gateway))
    chunks = list(client.chat.completions.create(**ask(gateway), stream=True, stream_options={"include_usage": True}))
    choices = [chunk.choices[0] for chunk in chunks if chunk.choices]
    assert "".join(choice.delta.content or "" for choice in choices) == whole.choices[0].message.content != ""
    assert [choice.finish_reason for choice in choices if choice.finish_reason] == [whole.choices[0].finish_reason]
    assert len({(chunk.id, chunk.created, chunk.model) for chunk in chunks}) == 1
    usage = chunks[-1].usage
    assert usage is not None
    assert whole.usage is not None
    assert (usage.prompt_tokens, usage.completion_tokens) == (whole.usage.prompt_tokens, whole.usage.completion_tokens)
    assert 0 < whole.usage.completion_tokens <= 64
    assert whole.usage.total_tokens == whole.usage.prompt_tokens + whole.usage.completion_tokens


def test_a_limit_ends_with_length_and_a_stop_string_with_stop(client: openai.OpenAI, gateway: Any) -> None:
    whole = client.chat.completions.create(**ask(gateway))
    cut = client.chat.completions.create(**ask(gateway, max_tokens=3))
    assert cut.choices[0].finish_reason == "length"
    assert cut.usage is not None
    assert cut.usage.completion_tokens == 3
    text = whole.choices[0].message.content or ""
    stopped = client.chat.completions.create(**ask(gateway, stop=[text[4:8]]))
    assert (stopped.choices[0].message.content, stopped.choices[0].finish_reason) == (text[:4], "stop")


def test_the_stream_helper_collects_two_choices_with_log_probabilities(client: openai.OpenAI, gateway: Any) -> None:
    options = {"n": 2, "logprobs": True, "top_logprobs": 2, "stream_options": {"include_usage": True}}
    with client.chat.completions.stream(**ask(gateway, **options)) as stream:
        kinds = {event.type for event in stream}
        final = stream.get_final_completion()
    assert {"chunk", "content.delta", "content.done"} <= kinds
    first, second = final.choices
    assert (first.index, second.index) == (0, 1)
    assert first.message.content == second.message.content != ""
    assert first.logprobs is not None
    tokens = first.logprobs.content or []
    assert "".join(token.token for token in tokens) == first.message.content
    assert all(token.logprob <= 0 and len(token.top_logprobs) == 2 for token in tokens)
    assert final.usage is not None
    assert final.usage.completion_tokens >= 2 * len(tokens)


def test_parse_gives_a_model_class_back_whole_and_streamed(client: openai.OpenAI, gateway: Any) -> None:
    asked = ask(gateway, said=gateway.extract, response_format=gateway.person)
    parsed = client.chat.completions.parse(**asked).choices[0].message.parsed
    with client.chat.completions.stream(**asked) as stream:
        streamed = stream.get_final_completion().choices[0].message.parsed
    assert isinstance(parsed, gateway.person)
    assert parsed == streamed


def test_a_json_object_is_one(client: openai.OpenAI, gateway: Any) -> None:
    asked = ask(gateway, said=gateway.extract, response_format={"type": "json_object"})
    assert isinstance(json.loads(client.chat.completions.create(**asked).choices[0].message.content or ""), dict)


def test_a_tool_is_called_where_it_helps_and_its_result_is_taken(client: openai.OpenAI, gateway: Any) -> None:
    asked = ask(gateway, said=gateway.weather, tools=[gateway.tool])
    whole = client.chat.completions.create(**asked).choices[0]
    with client.chat.completions.stream(**asked) as stream:
        streamed = stream.get_final_completion().choices[0]
    for choice in (whole, streamed):
        (call,) = choice.message.tool_calls or ()
        assert choice.finish_reason == "tool_calls"
        assert call.function.name == "get_weather"
        assert json.loads(call.function.arguments) == {"city": "Oslo"}
    result = {"role": "tool", "tool_call_id": whole.message.tool_calls[0].id, "content": '{"sky": "sunny"}'}
    turns = [*asked["messages"], whole.message.model_dump(exclude_none=True), result]
    answer = client.chat.completions.create(**{**asked, "messages": turns}).choices[0]
    assert answer.message.content
    assert not answer.message.tool_calls


@pytest.mark.parametrize("choice", ["required", {"type": "function", "function": {"name": "get_weather"}}])
def test_a_tool_is_called_where_it_must_be(client: openai.OpenAI, gateway: Any, choice: Any) -> None:
    other = {**gateway.tool, "function": {**gateway.tool["function"], "name": "get_time"}}
    tools = [gateway.tool] if choice == "required" else [other, gateway.tool]
    asked = ask(gateway, said="Hello", tools=tools, tool_choice=choice, parallel_tool_calls=False)
    message = client.chat.completions.create(**asked).choices[0].message
    (call,) = message.tool_calls or ()
    assert call.function.name == "get_weather"
    assert isinstance(json.loads(call.function.arguments)["city"], str)


def test_no_tool_is_called_where_none_may_be(client: openai.OpenAI, gateway: Any) -> None:
    asked = ask(gateway, said=gateway.weather, tools=[gateway.tool], tool_choice="none")
    assert not client.chat.completions.create(**asked).choices[0].message.tool_calls


def test_raw_and_streaming_responses(client: openai.OpenAI, gateway: Any) -> None:
    raw = client.chat.completions.with_raw_response.create(**ask(gateway), extra_headers={"x-request-id": "mine-1"})
    assert raw.headers["x-request-id"] == "mine-1"
    assert int(raw.headers["openai-processing-ms"]) >= 0
    assert raw.headers["content-type"] == "application/json"
    assert raw.parse().choices[0].message.content
    with client.chat.completions.with_streaming_response.create(**ask(gateway), stream=True) as reply:
        lines = [line for line in reply.iter_lines() if line]
        assert reply.headers["content-type"].startswith("text/event-stream")
    assert lines[-1] == "data: [DONE]"


def test_completions(client: openai.OpenAI, gateway: Any) -> None:
    asked = {"model": gateway.chat, "prompt": ["The gateway", "Once upon"], "temperature": 0, "max_tokens": 8}
    whole = client.completions.create(**asked)
    texts = {0: "", 1: ""}
    for chunk in client.completions.create(**asked, stream=True):
        for choice in chunk.choices:
            texts[choice.index] += choice.text
    assert texts == {choice.index: choice.text for choice in whole.choices}
    assert whole.usage is not None
    assert 2 <= whole.usage.completion_tokens <= 16
    echoed = client.completions.create(**{**asked, "prompt": "The gateway"}, echo=True)
    assert echoed.choices[0].text == "The gateway" + whole.choices[0].text


def test_vectors_of_both_forms(client: openai.OpenAI, gateway: Any) -> None:
    texts = ["a llama", "a gateway", "Привет 🦙"]
    packed = client.embeddings.create(model=gateway.embed, input=texts)  # the client asks for base64 by itself
    plain = client.embeddings.create(model=gateway.embed, input=texts, encoding_format="float")
    assert [row.index for row in packed.data] == [0, 1, 2]
    for one, other in zip(packed.data, plain.data, strict=True):
        assert one.embedding == pytest.approx(other.embedding, abs=1e-6)
        assert math.hypot(*one.embedding) == pytest.approx(1, abs=1e-3)
    assert plain.usage.prompt_tokens == plain.usage.total_tokens > 0
    short = client.embeddings.create(model=gateway.embed, input=texts[0], dimensions=4).data[0].embedding
    assert len(short) == 4
    assert math.hypot(*short) == pytest.approx(1, abs=1e-3)


def test_models(client: openai.OpenAI, gateway: Any) -> None:
    listed = list(client.models.list())
    assert {gateway.chat, gateway.embed} <= {model.id for model in listed}
    assert client.models.retrieve(gateway.chat).id == gateway.chat


def test_errors_are_the_clients_own(client: openai.OpenAI, gateway: Any) -> None:
    with pytest.raises(openai.NotFoundError) as missing:
        client.chat.completions.create(**ask(gateway, model="no/such"))
    assert (missing.value.code, missing.value.param) == ("model_not_found", "model")
    with pytest.raises(openai.BadRequestError) as wrong:
        client.chat.completions.create(**ask(gateway, temperature=9))
    assert wrong.value.param == "temperature"
    with pytest.raises(openai.BadRequestError) as long:
        client.chat.completions.create(**ask(gateway, said="word " * 20_000), stream=True)
    assert long.value.code == "context_length_exceeded"


def test_a_response_streamed_is_the_response_in_one_piece(client: openai.OpenAI, gateway: Any) -> None:
    asked = {"model": gateway.chat, "input": gateway.question, "temperature": 0, "max_output_tokens": 64}
    whole = client.responses.create(**asked)
    with client.responses.stream(**asked) as stream:
        kinds = [event.type for event in stream]
        final = stream.get_final_response()
    assert final.output_text == whole.output_text != ""
    assert final.status == whole.status == "completed"
    assert (kinds[0], kinds[-1]) == ("response.created", "response.completed")
    assert "response.output_text.delta" in kinds
    assert final.usage is not None
    assert whole.usage is not None
    assert final.usage.output_tokens == whole.usage.output_tokens > 0
    plain = list(client.responses.create(**asked, stream=True))
    assert [event.sequence_number for event in plain] == list(range(len(plain)))


def test_a_response_is_kept_found_continued_and_deleted(client: openai.OpenAI, gateway: Any) -> None:
    asked = {"model": gateway.chat, "temperature": 0, "max_output_tokens": 32}
    first = client.responses.create(**asked, input=gateway.question, store=True)
    assert client.responses.retrieve(first.id).output_text == first.output_text
    (item,) = client.responses.input_items.list(first.id).data
    assert item.content[0].text == gateway.question
    second = client.responses.create(**asked, input="And its name?", previous_response_id=first.id)
    assert second.previous_response_id == first.id
    assert first.usage is not None
    assert second.usage is not None
    assert second.usage.input_tokens > first.usage.input_tokens + first.usage.output_tokens
    client.responses.delete(first.id)
    with pytest.raises(openai.NotFoundError):
        client.responses.retrieve(first.id)


def test_responses_parse_and_call_tools(client: openai.OpenAI, gateway: Any) -> None:
    asked = {"model": gateway.chat, "temperature": 0, "max_output_tokens": 64}
    parsed = client.responses.parse(**asked, input=gateway.extract, text_format=gateway.person)
    assert isinstance(parsed.output_parsed, gateway.person)
    with client.responses.stream(**asked, input=gateway.extract, text_format=gateway.person) as stream:
        assert stream.get_final_response().output_parsed == parsed.output_parsed
    tool = {"type": "function", "name": "get_weather", "parameters": gateway.parameters, "strict": True}
    called = client.responses.create(**asked, input=gateway.weather, tools=[{**tool, "description": "The weather"}])
    (call,) = called.output
    assert (call.type, call.name, json.loads(call.arguments)) == ("function_call", "get_weather", {"city": "Oslo"})
    result = {"type": "function_call_output", "call_id": call.call_id, "output": '{"sky": "sunny"}'}
    turns = [{"role": "user", "content": gateway.weather}, call.model_dump(exclude_none=True), result]
    assert client.responses.create(**asked, input=turns, tools=[tool]).output_text


async def test_the_async_client(async_client: openai.AsyncOpenAI, gateway: Any) -> None:
    whole = await async_client.chat.completions.create(**ask(gateway))
    text = whole.choices[0].message.content
    stream = await async_client.chat.completions.create(**ask(gateway), stream=True)
    assert "".join([chunk.choices[0].delta.content or "" async for chunk in stream]) == text != ""
    async with async_client.chat.completions.stream(**ask(gateway)) as helper:
        assert (await helper.get_final_completion()).choices[0].message.content == text
    asked = ask(gateway, said=gateway.extract, response_format=gateway.person)
    assert isinstance((await async_client.chat.completions.parse(**asked)).choices[0].message.parsed, gateway.person)
    raw = await async_client.chat.completions.with_raw_response.create(**ask(gateway))
    assert raw.parse().choices[0].message.content == text
    async with async_client.chat.completions.with_streaming_response.create(**ask(gateway)) as reply:
        assert (await reply.parse()).choices[0].message.content == text
    plain = {"model": gateway.chat, "prompt": "The gateway", "temperature": 0, "max_tokens": 4}
    assert (await async_client.completions.create(**plain)).choices[0].text
    vectors = await async_client.embeddings.create(model=gateway.embed, input="a")
    assert math.hypot(*vectors.data[0].embedding) == pytest.approx(1, abs=1e-3)
    assert gateway.chat in [model.id async for model in async_client.models.list()]
    assert (await async_client.models.retrieve(gateway.chat)).id == gateway.chat
    async with async_client.responses.stream(model=gateway.chat, input="Hello", temperature=0) as responses:
        assert (await responses.get_final_response()).output_text
    made = await async_client.responses.parse(
        model=gateway.chat, input=gateway.extract, text_format=gateway.person, temperature=0
    )
    assert isinstance(made.output_parsed, gateway.person)
    assert (await async_client.responses.retrieve(made.id)).id == made.id
    await async_client.responses.delete(made.id)

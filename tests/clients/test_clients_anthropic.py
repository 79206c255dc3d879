"""The Anthropic client for Python, both kinds."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

anthropic = pytest.importorskip("anthropic", reason="the [clients] extra is not installed")


@pytest.fixture
def client(gateway: Any) -> Iterator[Any]:
    with anthropic.Anthropic(base_url=gateway.url, api_key="none", max_retries=0, timeout=600) as found:
        yield found


@pytest.fixture
async def async_client(gateway: Any) -> AsyncIterator[Any]:
    async with anthropic.AsyncAnthropic(base_url=gateway.url, api_key="none", max_retries=0, timeout=600) as found:
        yield found


@pytest.fixture
def tool(gateway: Any) -> dict[str, Any]:
    return {"name": "get_weather", "description": "Get the weather in a city", "input_schema": gateway.parameters}


def ask(gateway: Any, **fields: Any) -> dict[str, Any]:
    """A question whose answer is the same every time."""
    said = [{"role": "user", "content": fields.pop("said", gateway.question)}]
    return {"model": gateway.chat, "max_tokens": 64, "messages": said, "extra_body": {"temperature": 0}, **fields}


def test_messages_counting_and_streaming(client: Any, gateway: Any) -> None:
    whole = client.messages.create(**ask(gateway, system="You are brief."))
    with client.messages.stream(**ask(gateway, system="You are brief.")) as stream:
        text = "".join(stream.text_stream)
        streamed = stream.get_final_message()
    assert whole.content[0].text == streamed.content[0].text == text != ""
    assert whole.stop_reason == streamed.stop_reason
    assert streamed.usage.output_tokens == whole.usage.output_tokens > 0
    said = [{"role": "user", "content": gateway.question}]
    counted = client.messages.count_tokens(model=gateway.chat, messages=said, system="You are brief.")
    assert counted.input_tokens == whole.usage.input_tokens + whole.usage.cache_read_input_tokens
    cut = client.messages.create(**ask(gateway, max_tokens=3))
    assert (cut.stop_reason, cut.usage.output_tokens) == ("max_tokens", 3)
    stopped = client.messages.create(**ask(gateway, system="You are brief.", stop_sequences=[text[4:8]]))
    assert (stopped.content[0].text, stopped.stop_reason) == (text[:4], "stop_sequence")


def test_the_events_of_a_plain_stream(client: Any, gateway: Any) -> None:
    kinds = [event.type for event in client.messages.create(**ask(gateway), stream=True)]
    assert kinds[:2] == ["message_start", "content_block_start"]
    assert kinds[-3:] == ["content_block_stop", "message_delta", "message_stop"]


def test_a_tool_is_called_where_it_helps_and_its_result_is_taken(client: Any, gateway: Any, tool: Any) -> None:
    asked = ask(gateway, said=gateway.weather, tools=[tool])
    whole = client.messages.create(**asked)
    with client.messages.stream(**asked) as stream:
        streamed = stream.get_final_message()
    for message in (whole, streamed):
        (call,) = [block for block in message.content if block.type == "tool_use"]
        assert (call.name, call.input, message.stop_reason) == ("get_weather", {"city": "Oslo"}, "tool_use")
    result = {"type": "tool_result", "tool_use_id": call.id, "content": '{"sky": "sunny"}'}
    turns = [
        *asked["messages"],
        {"role": "assistant", "content": [block.model_dump(exclude_none=True) for block in streamed.content]},
        {"role": "user", "content": [result]},
    ]
    assert client.messages.create(**{**asked, "messages": turns}).content[0].text


@pytest.mark.parametrize("choice", [{"type": "any"}, {"type": "tool", "name": "get_weather"}])
def test_a_tool_is_called_where_it_must_be(client: Any, gateway: Any, tool: Any, choice: Any) -> None:
    message = client.messages.create(**ask(gateway, said="Hello", tools=[tool], tool_choice=choice))
    (call,) = [block for block in message.content if block.type == "tool_use"]
    assert call.name == "get_weather"
    assert isinstance(call.input["city"], str)
    assert message.stop_reason == "tool_use"


def test_a_model_class_comes_back_from_parse(client: Any, gateway: Any) -> None:
    message = client.messages.parse(**ask(gateway, said=gateway.extract, output_format=gateway.person))
    assert isinstance(message.parsed_output, gateway.person)


def test_raw_responses_and_errors(client: Any, gateway: Any) -> None:
    raw = client.messages.with_raw_response.create(**ask(gateway))
    assert raw.headers["request-id"]
    assert raw.parse().content[0].text
    with pytest.raises(anthropic.NotFoundError):
        client.messages.create(**ask(gateway, model="no/such"))
    with pytest.raises(anthropic.BadRequestError, match="max_tokens"):
        client.messages.create(**ask(gateway, max_tokens=0))


async def test_the_async_client(async_client: Any, gateway: Any, tool: Any) -> None:
    whole = await async_client.messages.create(**ask(gateway))
    async with async_client.messages.stream(**ask(gateway)) as stream:
        streamed = await stream.get_final_message()
    assert streamed.content[0].text == whole.content[0].text != ""
    called = await async_client.messages.create(**ask(gateway, said=gateway.weather, tools=[tool]))
    assert [block.input for block in called.content if block.type == "tool_use"] == [{"city": "Oslo"}]

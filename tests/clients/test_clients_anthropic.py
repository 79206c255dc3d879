"""The Anthropic client for Python."""

from __future__ import annotations

from typing import Any

import pytest

anthropic = pytest.importorskip("anthropic", reason="the [clients] extra is not installed")

HI = [{"role": "user", "content": "Hello"}]
TOOL = {
    "name": "weather",
    "description": "Weather of a city",
    "input_schema": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
}


@pytest.fixture
def client(gateway: Any) -> Any:
    return anthropic.Anthropic(base_url=gateway.url, api_key="none", max_retries=0, timeout=600)


def test_messages_counting_and_streaming(client: Any, gateway: Any) -> None:
    ask = {"model": gateway.chat, "max_tokens": 16, "messages": HI, "extra_body": {"temperature": 0}}
    whole = client.messages.create(**ask)
    with client.messages.stream(**ask) as stream:
        streamed = stream.get_final_message()
    assert whole.content[0].text == streamed.content[0].text != ""
    assert streamed.usage.output_tokens == whole.usage.output_tokens > 0
    counted = client.messages.count_tokens(model=gateway.chat, messages=HI)
    sent = whole.usage.input_tokens + whole.usage.cache_read_input_tokens
    assert counted.input_tokens == sent


def test_a_forced_tool(client: Any, gateway: Any) -> None:
    choice = {"type": "tool", "name": "weather"}
    with client.messages.stream(
        model=gateway.chat, max_tokens=200, messages=HI, tools=[TOOL], tool_choice=choice
    ) as stream:
        message = stream.get_final_message()
    (call,) = [block for block in message.content if block.type == "tool_use"]
    assert call.name == "weather"
    assert isinstance(call.input["city"], str)
    assert message.stop_reason == "tool_use"

"""The official Python client's ordinary jobs, over a real socket."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from hyperllama.errors import EngineFailed, Overloaded
from hyperllama.generation import TokenChunk, ToolCallDelta, Usage

anthropic = pytest.importorskip("anthropic", reason="the [clients] extra is not installed")

HI = [{"role": "user", "content": "Hi"}]
TOOL = {"name": "weather", "input_schema": {"type": "object", "properties": {"city": {"type": "string"}}}}


@pytest.fixture
async def client(base_url: str) -> AsyncIterator[Any]:
    async with anthropic.AsyncAnthropic(base_url=base_url, api_key="none", max_retries=0, timeout=30) as client:
        yield client


async def test_a_message_in_one_piece_and_streamed_say_the_same(client: Any) -> None:
    whole = await client.messages.create(model="claude", max_tokens=9, messages=HI)
    async with client.messages.stream(model="claude", max_tokens=9, messages=HI) as stream:
        pieces = [text async for text in stream.text_stream]
        final = await stream.get_final_message()
    assert whole.content[0].text == "".join(pieces) == final.content[0].text == "Hello there."
    assert pieces == ["Hello", " there."]
    assert whole.stop_reason == final.stop_reason == "end_turn"
    assert (final.usage.input_tokens, final.usage.output_tokens) == (5, 2)
    assert (final.usage.cache_read_input_tokens, whole.usage.cache_read_input_tokens) == (4, 4)


async def test_a_tool_is_called_and_answered(client: Any, script: Any) -> None:
    script.says(
        TokenChunk(reasoning="hm"),
        TokenChunk(tool_calls=(ToolCallDelta(0, '{"city":', "toolu_1", "weather"),)),
        TokenChunk(tool_calls=(ToolCallDelta(0, '"Oslo"}'),)),
        TokenChunk(tokens=0, finish_reason="tool_calls", usage=Usage(3, 4)),
    )
    async with client.messages.stream(model="claude", max_tokens=9, messages=HI, tools=[TOOL]) as stream:
        final = await stream.get_final_message()
    whole = await client.messages.create(
        model="claude", max_tokens=9, messages=HI, tools=[TOOL], thinking={"type": "enabled", "budget_tokens": 1024}
    )
    for message in (final, whole):
        assert [block.type for block in message.content] == ["thinking", "tool_use"]
        assert (message.content[1].id, message.content[1].input) == ("toolu_1", {"city": "Oslo"})
        assert message.stop_reason == "tool_use"
    turns = [
        *HI,
        {"role": "assistant", "content": [block.model_dump() for block in final.content]},
        {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "toolu_1", "content": "Rain"}]},
    ]
    await client.messages.create(model="claude", max_tokens=9, messages=turns, tools=[TOOL])
    assert [message.role for message in script.asked.input.messages] == ["user", "assistant", "tool"]
    assert script.asked.input.messages[2].name == "weather"


async def test_tokens_are_counted(client: Any) -> None:
    assert (await client.messages.count_tokens(model="claude", messages=HI)).input_tokens == 2


async def test_errors_are_the_clients_own(client: Any, script: Any) -> None:
    with pytest.raises(anthropic.NotFoundError):
        await client.messages.create(model="gpt", max_tokens=9, messages=HI)
    with pytest.raises(anthropic.BadRequestError, match="max_tokens"):
        await client.messages.create(model="claude", max_tokens=0, messages=HI)
    script.gateway.refusal = Overloaded("The queue is full.", retry_after=1)
    with pytest.raises(anthropic.InternalServerError) as busy:
        await client.messages.create(model="claude", max_tokens=9, messages=HI)
    assert busy.value.status_code == 529
    script.gateway.refusal = None
    script.says(TokenChunk(text="a"), EngineFailed("The engine broke."))
    with pytest.raises(anthropic.APIStatusError, match="The engine broke"):
        async with client.messages.stream(model="claude", max_tokens=9, messages=HI) as stream:
            await stream.until_done()


async def test_the_synchronous_client_does_the_same(base_url: str) -> None:
    def job() -> str:
        with (
            anthropic.Anthropic(base_url=base_url, api_key="none", max_retries=0) as client,
            client.messages.stream(model="claude", max_tokens=9, messages=HI) as stream,
        ):
            return stream.get_final_text()

    assert await asyncio.to_thread(job) == "Hello there."

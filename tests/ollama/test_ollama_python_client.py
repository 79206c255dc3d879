"""The official Python client, both kinds, every method it has."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import Any

import ollama
import pytest

from hyperllama.errors import EngineFailed
from hyperllama.generation import TokenChunk, TokenLogprob, ToolCallDelta

MESSAGES = [{"role": "user", "content": "hi"}]


def get_weather(city: str) -> str:
    """
    The weather.

    Args:
        city: where

    Returns:
        words
    """
    return f"mild in {city}"


@pytest.fixture
def client(base_url: str) -> Iterator[ollama.Client]:
    with ollama.Client(host=base_url) as found:
        yield found


@pytest.fixture
async def async_client(base_url: str) -> AsyncIterator[ollama.AsyncClient]:
    async with ollama.AsyncClient(host=base_url) as found:
        yield found


def test_chat(client: ollama.Client, gateway: Any) -> None:
    reply = client.chat("llama3.2", messages=MESSAGES, options={"num_predict": 4, "seed": 1}, keep_alive="5m")
    assert (reply.message.role, reply.message.content) == ("assistant", "Hi there")
    assert (reply.done_reason, reply.eval_count, reply.prompt_eval_count) == ("stop", 2, 7)
    assert reply.total_duration == 9_000_000
    asked = gateway.asked[-1]
    assert (asked.sampling.max_tokens, asked.sampling.seed, asked.keep_alive) == (4, 1, 300.0)


def test_chat_in_a_stream(client: ollama.Client) -> None:
    parts = list(client.chat("llama3.2", messages=MESSAGES, stream=True, keep_alive=-1, format="json"))
    assert [part.message.content for part in parts] == ["Hi", " there", ""]
    assert [part.done for part in parts] == [False, False, True]


def test_a_round_trip_through_a_tool(client: ollama.Client, gateway: Any) -> None:
    gateway.script = [
        TokenChunk(tool_calls=(ToolCallDelta(0, '{"city":"Paris"}', id="call_1", name="get_weather"),)),
        TokenChunk(finish_reason="tool_calls", tokens=0),
    ]
    reply = client.chat("llama3.2", messages=MESSAGES, tools=[get_weather])
    assert gateway.asked[-1].tools[0].parameters["properties"]["city"]["type"] == "string"
    call = (reply.message.tool_calls or [])[0]
    assert (call.function.name, call.function.arguments) == ("get_weather", {"city": "Paris"})
    gateway.says("It is mild.")
    result = {"role": "tool", "tool_name": "get_weather", "content": get_weather(**call.function.arguments)}
    reply = client.chat("llama3.2", messages=[*MESSAGES, reply.message, result])
    assert reply.message.content == "It is mild."
    sent = gateway.asked[-1].input.messages
    assert sent[2].tool_call_id == sent[1].tool_calls[0].id


def test_thinking(client: ollama.Client, gateway: Any) -> None:
    gateway.script = [TokenChunk(reasoning="hm"), *gateway.script]
    reply = client.chat("qwen3", messages=MESSAGES, think="high")
    assert (reply.message.thinking, reply.message.content) == ("hm", "Hi there")
    assert gateway.asked[-1].reasoning == "high"


def test_log_probabilities(client: ollama.Client, gateway: Any) -> None:
    gateway.script = [TokenChunk(text="Hi", logprobs=(TokenLogprob("Hi", -0.5, 1, b"Hi"),)), *gateway.script]
    reply = client.chat("llama3.2", messages=MESSAGES, logprobs=True, top_logprobs=0)
    assert reply.logprobs is not None
    assert (reply.logprobs[0].token, reply.logprobs[0].logprob) == ("Hi", -0.5)


def test_a_bare_chat_is_a_load(client: ollama.Client, gateway: Any) -> None:
    assert client.chat("llama3.2").done_reason == "load"
    assert gateway.calls == [("load", "llama3.2", None)]


def test_generate(client: ollama.Client, gateway: Any) -> None:
    gateway.script = [TokenChunk(text="x", token_ids=(7,)), TokenChunk(finish_reason="stop", prompt_token_ids=(1,))]
    reply = client.generate("llama3.2", prompt="hi", images=[b"\x01\x02"], system="s")
    assert (reply.response, list(reply.context or [])) == ("x", [1, 7])
    assert gateway.asked[-1].system == "s"
    parts = list(client.generate("llama3.2", prompt="hi", stream=True, raw=True))
    assert [part.response for part in parts] == ["x", ""]


def test_load_and_unload(client: ollama.Client, gateway: Any) -> None:
    assert client.generate("llama3.2").done_reason == "load"
    assert [model.model for model in client.ps().models] == ["llama3.2:latest"]
    assert client.generate("llama3.2", keep_alive=0).done_reason == "unload"
    assert client.ps().models == []


def test_vectors(client: ollama.Client) -> None:
    assert client.embed("org/all-minilm:22m", ["a"]).embeddings == [[0.6, 0.8]]
    assert client.embed("org/all-minilm:22m", "").embeddings == []
    assert list(client.embeddings("org/all-minilm:22m", "a").embedding) == pytest.approx([0.6, 0.8])


def test_lists_and_cards(client: ollama.Client) -> None:
    found = client.list().models
    assert [model.model for model in found] == ["org/all-minilm:22m", "llama3.2:latest", "qwen3:latest", "held:latest"]
    assert found[1].modified_at is not None
    assert found[1].modified_at.timestamp() == pytest.approx(1767323045.123456)
    card = client.show("llama3.2")
    assert card.modelinfo is not None
    assert card.modelinfo["llama.context_length"] == 4096
    assert card.capabilities == ["completion", "tools", "insert"]
    assert card.details is not None
    assert card.details.parameter_size == "3.2B"


def test_the_store(client: ollama.Client, store: Any, tmp_path: Any) -> None:
    assert client.pull("llama3.2").status == "success"
    assert [step.status for step in client.pull("llama3.2", stream=True)][-1] == "success"
    assert client.push("llama3.2").status == "success"
    assert client.create("new", from_="llama3.2").status == "success"
    assert client.copy("llama3.2", "other").status == "success"
    assert client.delete("llama3.2").status == "success"
    file = tmp_path / "blob"
    file.write_bytes(b"x" * 70_000)
    digest = client.create_blob(file)
    assert store.blobs == {digest: 70_000}


@pytest.mark.parametrize("stream", [False, True])
def test_errors_are_the_clients_own(client: ollama.Client, gateway: Any, stream: bool) -> None:
    with pytest.raises(ollama.ResponseError) as error:
        answer = client.chat("nope", messages=MESSAGES, stream=stream)
        list(answer)
    assert (error.value.status_code, error.value.error) == (404, "model 'nope' not found")
    gateway.script = [EngineFailed("broke")]
    with pytest.raises(ollama.ResponseError) as error:
        list(client.chat("llama3.2", messages=MESSAGES, stream=stream))
    assert error.value.status_code == 500


def test_an_error_in_the_stream(client: ollama.Client, gateway: Any) -> None:
    gateway.script = [TokenChunk(text="Hi"), EngineFailed("broke")]
    seen = []
    with pytest.raises(ollama.ResponseError, match="broke"):
        for part in client.chat("llama3.2", messages=MESSAGES, stream=True):
            seen.append(part.message.content)  # noqa: PERF401 - what came before the error counts
    assert seen == ["Hi"]


def test_any_character_comes_through_a_stream(client: ollama.Client, gateway: Any) -> None:
    every = "".join(map(chr, [*range(0x300), *range(0x2000, 0x2100)])) + "\U0001f600\ufeff\uffff"
    gateway.says(every)
    parts = client.generate("llama3.2", prompt="x", stream=True)
    assert "".join(part.response for part in parts) == every


async def test_the_async_client(async_client: ollama.AsyncClient, gateway: Any, store: Any) -> None:
    reply = await async_client.chat("llama3.2", messages=MESSAGES)
    assert reply.message.content == "Hi there"
    stream = await async_client.chat("llama3.2", messages=MESSAGES, stream=True)
    assert [part.message.content async for part in stream] == ["Hi", " there", ""]
    assert (await async_client.generate("llama3.2", prompt="x")).response == "Hi there"
    lines = await async_client.generate("llama3.2", prompt="x", stream=True)
    assert [part.response async for part in lines] == ["Hi", " there", ""]
    assert (await async_client.embed("org/all-minilm:22m", "a")).embeddings == [[0.6, 0.8]]
    assert list((await async_client.embeddings("org/all-minilm:22m", "a")).embedding) == pytest.approx([0.6, 0.8])
    assert len((await async_client.list()).models) == 4
    assert (await async_client.show("llama3.2")).capabilities == ["completion", "tools", "insert"]
    assert (await async_client.ps()).models == []
    assert (await async_client.pull("llama3.2")).status == "success"
    assert [step.status async for step in await async_client.pull("llama3.2", stream=True)][-1] == "success"
    assert (await async_client.copy("llama3.2", "b")).status == "success"
    assert (await async_client.delete("llama3.2")).status == "success"
    with pytest.raises(ollama.ResponseError, match="model 'nope' not found"):
        await async_client.generate("nope", prompt="x")


async def test_the_async_client_uploads_in_pieces(async_client: ollama.AsyncClient, store: Any, tmp_path: Any) -> None:
    file = tmp_path / "blob"
    file.write_bytes(b"y" * 300_000)
    digest = await async_client.create_blob(file)
    assert store.blobs == {digest: 300_000}

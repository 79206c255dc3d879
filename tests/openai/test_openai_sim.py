"""The whole gateway around the dialect: the real application, the sim engine, real clients, a real socket."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import openai
import pytest
import uvicorn
from pydantic import BaseModel

from hyperllama.config import Config, Store
from hyperllama.models import ModelSpec
from hyperllama.web.app import create_app

HI = [{"role": "user", "content": "Tell me about foxes."}]
WEATHER = {
    "type": "function",
    "function": {"name": "weather", "parameters": {"type": "object", "properties": {"city": {"type": "string"}}}},
}


class Person(BaseModel):
    name: str
    age: int


class _Server(uvicorn.Server):
    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.up = asyncio.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.up.set()


@pytest.fixture
async def base_url(tmp_path: Path) -> AsyncIterator[str]:
    def sim(name: str, **options: Any) -> ModelSpec:
        return ModelSpec(name=name, engine="sim", aliases=(f"{name}-alias",), options=options)

    models = (sim("sim"), sim("org/slash"), sim("vec", embedding=8), sim("thinker", thinking=True))
    config = Config(models={model.name: model for model in models}, store=Store(path=str(tmp_path)))
    server = _Server(uvicorn.Config(create_app(config), host="127.0.0.1", port=0, log_config=None, ws="none"))
    serving = asyncio.create_task(server._serve())
    await server.up.wait()
    yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    server.should_exit = True
    await serving


async def test_ordinary_jobs(client: openai.AsyncOpenAI) -> None:
    whole = await client.chat.completions.create(model="sim", messages=HI, max_tokens=64)
    async with client.chat.completions.stream(
        model="sim-alias", messages=HI, max_tokens=64, stream_options={"include_usage": True}
    ) as stream:
        streamed = await stream.get_final_completion()
    assert streamed.choices[0].message.content == whole.choices[0].message.content
    assert streamed.choices[0].finish_reason == whole.choices[0].finish_reason == "stop"
    assert streamed.usage == whole.usage
    assert (whole.model, streamed.model) == ("sim", "sim-alias")
    cut = await client.chat.completions.create(model="sim", messages=HI, max_tokens=12)
    assert (cut.choices[0].finish_reason, cut.usage.completion_tokens) == ("length", 12)
    text = await client.completions.create(model="sim", prompt=["a b", "c d"], max_tokens=3, n=2, echo=True)
    assert [choice.text[:3] for choice in text.choices] == ["a b", "a b", "c d", "c d"]
    assert (await client.models.retrieve("org/slash")).id == "org/slash"
    vectors = await client.embeddings.create(model="vec", input=["a", "b"])
    assert [len(item.embedding) for item in vectors.data] == [8, 8]


async def test_tools_structured_output_and_thoughts(client: openai.AsyncOpenAI) -> None:
    async with client.chat.completions.stream(
        model="sim", messages=HI, tools=[WEATHER], tool_choice="required"
    ) as stream:
        called = (await stream.get_final_completion()).choices[0]
    assert called.finish_reason == "tool_calls"
    assert json.loads(called.message.tool_calls[0].function.arguments).keys() <= {"city"}
    parsed = await client.chat.completions.parse(model="sim", messages=HI, response_format=Person)
    assert isinstance(parsed.choices[0].message.parsed, Person)
    thought = await client.chat.completions.create(model="thinker", messages=HI, reasoning_effort="high")
    extra = thought.choices[0].message.model_extra
    assert extra["reasoning_content"] == extra["reasoning"] != ""
    assert thought.usage.completion_tokens_details.reasoning_tokens > 0


async def test_responses_with_a_memory(client: openai.AsyncOpenAI) -> None:
    async with client.responses.stream(model="thinker", input="Hi", reasoning={"effort": "low"}) as stream:
        first = await stream.get_final_response()
    assert [item.type for item in first.output] == ["reasoning", "message"]
    second = await client.responses.create(model="sim", input="More", previous_response_id=first.id)
    assert second.status == "completed"
    assert second.usage.input_tokens > first.usage.input_tokens


async def test_both_dialects_say_and_count_the_same(http: httpx.AsyncClient) -> None:
    options = {"num_predict": 10, "temperature": 0, "seed": 1}
    body = {"model": "sim", "messages": HI, "stream": False, "think": False, "options": options}
    ollama = (await http.post("/api/chat", json=body)).json()
    ours = (
        await http.post(
            "/v1/chat/completions",
            json={"model": "sim", "messages": HI, "max_tokens": 10, "temperature": 0, "seed": 1},
        )
    ).json()
    assert ours["choices"][0]["message"]["content"] == ollama["message"]["content"]
    assert ours["usage"]["prompt_tokens"] == ollama["prompt_eval_count"]
    assert ours["usage"]["completion_tokens"] == ollama["eval_count"] == 10


async def test_both_dialects_refuse_the_same_in_their_own_words(http: httpx.AsyncClient) -> None:
    for path, ollama_path, body in (
        ("/v1/chat/completions", "/api/chat", {"model": "nope", "messages": HI}),
        ("/v1/embeddings", "/api/embed", {"model": "nope", "input": "x"}),
        ("/v1/embeddings", "/api/embed", {"model": "sim", "input": "x"}),
    ):
        ours, ollama = await http.post(path, json=body), await http.post(ollama_path, json=body)
        assert ours.status_code == ollama.status_code >= 400, (ours.text, ollama.text)
        assert isinstance(ours.json()["error"]["message"], str)
        assert isinstance(ollama.json()["error"], str)


async def test_a_prompt_over_the_context_is_400_with_the_words_clients_look_for(client: openai.AsyncOpenAI) -> None:
    for stream in (False, True):
        with pytest.raises(openai.BadRequestError) as caught:
            await client.chat.completions.create(
                model="sim", messages=[{"role": "user", "content": "word " * 9000}], stream=stream
            )
        assert caught.value.code == "context_length_exceeded"
        assert "maximum context length is" in caught.value.message


async def test_every_answer_has_a_request_id(http: httpx.AsyncClient) -> None:
    for reply in (
        await http.get("/v1/models"),
        await http.get("/v1/nothing"),
        await http.post("/v1/chat/completions", json={}),
        await http.post("/v1/chat/completions", json={"model": "sim", "messages": HI, "stream": True}),
    ):
        assert reply.headers["x-request-id"]


async def test_options_names_the_methods_and_asks_for_no_key(http: httpx.AsyncClient) -> None:
    for path in ("/v1/chat/completions", "/v1/models/org/slash", "/v1/responses/resp_1"):
        reply = await http.request("OPTIONS", path)
        assert reply.status_code in (200, 204), reply.text
        assert "OPTIONS" in reply.headers["allow"]

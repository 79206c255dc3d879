"""The whole gateway around the dialect: the real application, the sim engine, real clients, a real socket."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import openai
import pytest
from pydantic import BaseModel

from hyperllama.app.application import create_app
from hyperllama.config import Config, Store
from hyperllama.models import ModelSpec
from hyperllama.testing.serving import served

HI = [{"role": "user", "content": "Tell me about foxes."}]
WEATHER = {
    "type": "function",
    "function": {"name": "weather", "parameters": {"type": "object", "properties": {"city": {"type": "string"}}}},
}


class Person(BaseModel):
    name: str
    age: int


@pytest.fixture
async def base_url(tmp_path: Path) -> AsyncIterator[str]:
    def sim(name: str, **options: Any) -> ModelSpec:
        return ModelSpec(name=name, engine="sim", aliases=(f"{name}-alias",), options=options)

    stops = ModelSpec(
        name="stops",
        engine="sim",
        parameters={"stop": ["three"], "num_ctx": 200},
        options={"text": "one two three four"},
    )
    models = (stops, sim("sim"), sim("org/slash"), sim("vec", embedding=8), sim("thinker", thinking=True))
    config = Config(models={model.name: model for model in models}, store=Store(path=str(tmp_path)))
    async with served(create_app(config)) as url:
        yield url


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


async def test_a_models_own_stop_strings_and_context_hold_until_a_request_says_otherwise(
    client: openai.AsyncOpenAI,
) -> None:
    async def said(**options: Any) -> str | None:
        answer = await client.chat.completions.create(model="stops", messages=HI, **options)
        assert answer.choices[0].finish_reason == "stop"
        return answer.choices[0].message.content

    assert await said() == await said(stop=[]) == "one two "
    assert await said(stop="two") == "one "
    assert await said(stop="nothing") == "one two three four"
    with pytest.raises(openai.BadRequestError, match="the context holds 200"):
        await client.completions.create(model="stops", prompt="word " * 300)


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


@pytest.mark.parametrize("max_tokens", [0, 2])
async def test_an_echoed_prompt_is_scored_token_by_token(http: httpx.AsyncClient, max_tokens: int) -> None:
    body = {"model": "sim", "prompt": "the quick fox", "echo": True, "logprobs": 2, "max_tokens": max_tokens}
    whole = (await http.post("/v1/completions", json=body)).json()
    (choice,), usage = whole["choices"], whole["usage"]
    found = choice["logprobs"]
    assert choice["text"].startswith("the quick fox")
    assert "".join(found["tokens"]) == choice["text"]
    assert (found["token_logprobs"][0], found["top_logprobs"][0]) == (None, None)
    assert all(value < 0 for value in found["token_logprobs"][1:])
    assert all(len(top) == 2 for top in found["top_logprobs"][1:])
    places = zip(found["tokens"], found["text_offset"], strict=True)
    assert all(choice["text"][at:].startswith(token) for token, at in places)
    assert (usage["completion_tokens"], choice["finish_reason"]) == (max_tokens, "length")
    assert len(found["tokens"]) == usage["prompt_tokens"] + max_tokens
    ids = (await http.post("/tokenize", json={"model": "sim", "prompt": "the quick fox"})).json()["tokens"]
    by_ids = (await http.post("/v1/completions", json={**body, "prompt": [ids, ids]})).json()
    assert [each["logprobs"] for each in by_ids["choices"]] == [found, found]
    reply = await http.post("/v1/completions", json={**body, "stream": True})
    events = [json.loads(line[6:]) for line in reply.text.splitlines() if line.startswith("data: {")]
    parts = [event["choices"][0] for event in events]
    assert "".join(part["text"] for part in parts) == choice["text"]
    spelled = [part["logprobs"] for part in parts if part["logprobs"]]
    for key in ("tokens", "token_logprobs", "top_logprobs", "text_offset"):
        assert [item for each in spelled for item in each[key]] == found[key]


async def test_more_tokens_than_the_context_holds_are_cut_to_what_is_left(client: openai.AsyncOpenAI) -> None:
    long = [{"role": "user", "content": "word " * 2000}]
    asked = {"model": "sim", "messages": long, "extra_body": {"ignore_eos": True}}
    whole = await client.chat.completions.create(**asked, max_tokens=2**31 - 1)
    assert whole.choices[0].finish_reason == "length"
    assert whole.usage.total_tokens == 4096


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

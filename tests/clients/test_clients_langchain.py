"""LangChain over both dialects: ChatOpenAI and ChatOllama, OpenAIEmbeddings and OllamaEmbeddings."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import pytest

langchain_openai = pytest.importorskip("langchain_openai", reason="the [clients] extra is not installed")
langchain_ollama = pytest.importorskip("langchain_ollama", reason="the [clients] extra is not installed")
openai = pytest.importorskip("openai", reason="the [clients] extra is not installed")
messages = pytest.importorskip("langchain_core.messages", reason="the [clients] extra is not installed")
pytestmark = pytest.mark.filterwarnings(
    "ignore"
)  # not ours: LangChain's deprecations, and clients that it never closes


def get_weather(city: str) -> str:
    """Get the weather in a city"""
    return f"sunny in {city}"


def openai_chat(gateway: Any, **options: Any) -> Any:
    given = {
        "model": gateway.chat,
        "base_url": gateway.v1,
        "api_key": "none",
        "max_retries": 0,
        "timeout": 600,
        "stream_usage": True,
    }
    return langchain_openai.ChatOpenAI(**given, temperature=0, max_tokens=64, **options)


def ollama_chat(gateway: Any, **options: Any) -> Any:
    given = {"model": gateway.chat, "base_url": gateway.url, "reasoning": False}
    return langchain_ollama.ChatOllama(**given, temperature=0, num_predict=64, **options)


@pytest.fixture(params=[openai_chat, ollama_chat])
def chat(request: pytest.FixtureRequest, gateway: Any) -> Any:
    return request.param(gateway)


@pytest.fixture(params=["openai", "ollama"])
def vectors(request: pytest.FixtureRequest, gateway: Any) -> Any:
    if request.param == "ollama":
        return langchain_ollama.OllamaEmbeddings(model=gateway.embed, base_url=gateway.url)
    options = {"model": gateway.embed, "base_url": gateway.v1, "api_key": "none", "max_retries": 0}
    return langchain_openai.OpenAIEmbeddings(**options, check_embedding_ctx_length=False)


def added_up(pieces: Iterator[Any]) -> Any:
    total = next(pieces)
    for piece in pieces:
        total += piece
    return total


def test_invoke_and_stream(chat: Any, gateway: Any) -> None:
    whole = chat.invoke(gateway.question)
    streamed = added_up(chat.stream(gateway.question))
    assert streamed.content == whole.content != ""
    assert streamed.usage_metadata["output_tokens"] == whole.usage_metadata["output_tokens"] > 0
    assert streamed.usage_metadata["input_tokens"] == whole.usage_metadata["input_tokens"] > 0
    assert [reply.content for reply in chat.batch([gateway.question] * 3)] == [whole.content] * 3


async def test_the_async_methods(chat: Any, gateway: Any) -> None:
    whole = await chat.ainvoke(gateway.question)
    pieces = [piece.content async for piece in chat.astream(gateway.question)]
    assert "".join(pieces) == whole.content != ""


def test_a_tool_is_called_where_it_helps_and_its_result_is_taken(chat: Any, gateway: Any) -> None:
    able = chat.bind_tools([get_weather])
    whole = able.invoke(gateway.weather)
    streamed = added_up(able.stream(gateway.weather))
    for reply in (whole, streamed):
        assert [(call["name"], call["args"]) for call in reply.tool_calls] == [("get_weather", {"city": "Oslo"})]
    result = messages.ToolMessage('{"sky": "sunny"}', tool_call_id=whole.tool_calls[0]["id"], name="get_weather")
    answer = able.invoke([messages.HumanMessage(gateway.weather), whole, result])
    assert answer.content
    assert not answer.tool_calls


def test_a_tool_is_called_where_it_must_be(gateway: Any) -> None:
    able = openai_chat(gateway).bind_tools([gateway.person], tool_choice="any")  # Ollama's dialect has no choice
    for reply in (able.invoke("Hello"), added_up(able.stream("Hello"))):
        (call,) = reply.tool_calls
        assert call["name"] == "Person"
        assert gateway.person.model_validate(call["args"])


@pytest.mark.parametrize("method", ["json_schema", "function_calling"])
def test_structured_output_over_openai(gateway: Any, method: str) -> None:
    able = openai_chat(gateway).with_structured_output(gateway.person, method=method)
    assert isinstance(able.invoke(gateway.extract), gateway.person)


@pytest.mark.parametrize("method", ["json_schema", "json_mode"])
def test_structured_output_over_ollama(gateway: Any, method: str) -> None:
    kind = gateway.person if method == "json_schema" else None  # a JSON object alone promises no keys
    made = ollama_chat(gateway).with_structured_output(kind, method=method).invoke(gateway.extract)
    assert isinstance(made, kind or dict)


def test_embeddings(vectors: Any) -> None:
    first, second = vectors.embed_documents(["a llama", "a gateway"])
    assert math.hypot(*first) == pytest.approx(1.0, abs=1e-3)
    assert vectors.embed_query("a llama") == pytest.approx(first, abs=1e-5)
    assert first != second


async def test_embeddings_asynchronously(vectors: Any) -> None:
    (found,) = await vectors.aembed_documents(["a llama"])
    assert math.hypot(*found) == pytest.approx(1.0, abs=1e-3)


def test_the_responses_api(gateway: Any) -> None:
    reply = openai_chat(gateway, use_responses_api=True).invoke(gateway.question)
    assert reply.text
    assert reply.usage_metadata["output_tokens"] > 0


def test_an_overflow_and_a_missing_model_are_known_for_what_they_are(gateway: Any) -> None:
    with pytest.raises(openai.BadRequestError) as caught:
        openai_chat(gateway).invoke("word " * 20_000)
    assert type(caught.value).__name__ == "OpenAIContextOverflowError"
    missing = ollama_chat(gateway).model_copy(update={"model": "nope"})
    with pytest.raises(Exception, match="model 'nope' not found"):
        missing.invoke("x")

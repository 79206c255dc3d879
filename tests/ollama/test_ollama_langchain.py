"""LangChain over the whole gateway: tools, structured output, vectors, streams."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import pytest

langchain_ollama = pytest.importorskip("langchain_ollama")


@contextmanager
def _open(kind: str, sim_url: str, model: str, **options: object) -> Iterator[Any]:
    """LangChain never closes its clients; an open socket at the end would be an error here."""
    found = getattr(langchain_ollama, kind)(model=model, base_url=sim_url, **options)
    try:
        yield found
    finally:
        found._client.close()


def _chat(sim_url: str, model: str) -> AbstractContextManager[Any]:
    return _open("ChatOllama", sim_url, model, reasoning=False)


def test_it_chats_and_streams(sim_url: str) -> None:
    with _chat(sim_url, "echo") as chat:
        answer = chat.invoke("say it")
        parts = [part.content for part in chat.stream("say it again")]
    assert answer.content == "say it"
    assert answer.usage_metadata["output_tokens"] > 0
    assert "".join(parts) == "say it again"


def test_it_calls_tools(sim_url: str) -> None:
    def get_weather(city: str) -> str:
        """The weather in a city."""
        return city

    with _chat(sim_url, "caller") as chat:
        answer = chat.bind_tools([get_weather]).invoke("weather?")
    assert [(call["name"], call["args"]) for call in answer.tool_calls] == [("get_weather", {"city": "Paris"})]


def test_it_gets_structured_output(sim_url: str) -> None:
    schema = {
        "title": "City",
        "type": "object",
        "properties": {"name": {"type": "string"}, "people": {"type": "integer"}},
        "required": ["name", "people"],
    }
    with _chat(sim_url, "talker") as chat:
        answer = chat.with_structured_output(schema, method="json_schema").invoke("a city")
    assert isinstance(answer["name"], str)
    assert isinstance(answer["people"], int)


def test_it_embeds(sim_url: str) -> None:
    with _open("OllamaEmbeddings", sim_url, "vectors") as vectors:
        found = vectors.embed_documents(["a", "b"])
        assert [len(vector) for vector in found] == [8, 8]
        assert vectors.embed_query("a") == found[0]


def test_it_names_a_missing_model(sim_url: str) -> None:
    with _chat(sim_url, "nope") as chat, pytest.raises(Exception, match="model 'nope' not found"):
        chat.invoke("x")

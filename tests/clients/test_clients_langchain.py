"""LangChain: ChatOpenAI and OpenAIEmbeddings."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import BaseModel, SecretStr

langchain = pytest.importorskip("langchain_openai", reason="the [clients] extra is not installed")
openai = pytest.importorskip("openai", reason="the [clients] extra is not installed")
pytestmark = pytest.mark.filterwarnings("ignore")  # not ours: LangChain's own deprecations


class Person(BaseModel):
    """Somebody."""

    name: str
    age: int


@pytest.fixture
def chat(gateway: Any) -> Any:
    return langchain.ChatOpenAI(
        model=gateway.chat, base_url=gateway.v1, api_key=SecretStr("none"), max_retries=0, temperature=0, timeout=600
    )


def test_invoke_and_stream(chat: Any) -> None:
    limited = chat.bind(max_tokens=16)
    whole = limited.invoke("Hello")
    pieces = list(limited.stream("Hello", stream_usage=True))
    assert "".join(piece.content for piece in pieces) == whole.content != ""
    usage = [piece.usage_metadata for piece in pieces if piece.usage_metadata]
    assert usage[-1]["output_tokens"] == whole.usage_metadata["output_tokens"] > 0


def test_tools(chat: Any) -> None:
    reply = chat.bind_tools([Person], tool_choice="any").invoke("Hello")
    (call,) = reply.tool_calls
    assert call["name"] == "Person"
    assert Person.model_validate(call["args"])
    pieces = chat.bind_tools([Person], tool_choice="any").stream("Hello")
    total = next(iter(pieces))
    for piece in pieces:
        total += piece
    assert [found["name"] for found in total.tool_calls] == ["Person"]
    assert Person.model_validate(total.tool_calls[0]["args"])


@pytest.mark.parametrize("method", ["json_schema", "function_calling"])
def test_structured_output(chat: Any, method: str) -> None:
    assert isinstance(chat.with_structured_output(Person, method=method).invoke("Hello"), Person)


def test_embeddings(gateway: Any) -> None:
    options = {"model": gateway.embed, "base_url": gateway.v1, "api_key": SecretStr("none"), "max_retries": 0}
    vectors = langchain.OpenAIEmbeddings(**options, check_embedding_ctx_length=False).embed_documents(["a b", "c"])
    assert len(vectors) == 2
    assert sum(number * number for number in vectors[0]) == pytest.approx(1.0, abs=1e-3)


def test_an_overflow_is_known_for_what_it_is(chat: Any) -> None:
    with pytest.raises(openai.BadRequestError) as caught:
        chat.invoke("word " * 20_000)
    assert type(caught.value).__name__ == "OpenAIContextOverflowError"

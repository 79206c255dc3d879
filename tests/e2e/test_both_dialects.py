"""The official clients of both dialects against the real command."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import ollama
import openai
import pytest


class Served(NamedTuple):
    """A gateway, a model on it, and a client of each dialect."""

    gateway: Any
    model: str
    openai: openai.OpenAI
    ollama: ollama.Client


QUESTION = [{"role": "user", "content": "What port does the gateway listen on?"}]


@pytest.fixture(params=["sim", pytest.param("max", marks=[pytest.mark.max, pytest.mark.timeout(900)])])
def served(request: pytest.FixtureRequest) -> Iterator[Served]:
    fixture, model = {"sim": ("sim", "sim"), "max": ("max_gateway", "hyperllama-tiny")}[request.param]
    gateway = request.getfixturevalue(fixture)
    native = ollama.Client(host=gateway.url)
    with openai.OpenAI(base_url=f"{gateway.url}/v1", api_key="none") as client:
        yield Served(gateway, model, client, native)
    native._client.close()


def test_the_openai_client_chats(served: Served) -> None:
    model = served.model
    client = served.openai
    whole = client.chat.completions.create(model=model, messages=QUESTION, temperature=0, max_tokens=24)
    assert whole.choices[0].message.content
    assert whole.usage is not None
    assert whole.usage.prompt_tokens > 0
    assert 0 < whole.usage.completion_tokens <= 24
    stream = client.chat.completions.create(
        model=model,
        messages=QUESTION,
        temperature=0,
        max_tokens=24,
        stream=True,
        stream_options={"include_usage": True},
    )
    chunks = list(stream)
    assert "".join(c.choices[0].delta.content or "" for c in chunks if c.choices) == whole.choices[0].message.content
    assert chunks[-1].usage == whole.usage or chunks[-1].usage.completion_tokens == whole.usage.completion_tokens
    assert len({chunk.id for chunk in chunks}) == 1


def test_the_openai_client_completes_a_prompt(served: Served) -> None:
    model = served.model
    client = served.openai
    whole = client.completions.create(model=model, prompt="The gateway", temperature=0, max_tokens=8)
    parts = client.completions.create(model=model, prompt="The gateway", temperature=0, max_tokens=8, stream=True)
    assert "".join(part.choices[0].text for part in parts if part.choices) == whole.choices[0].text


def test_the_openai_client_lists_models(served: Served) -> None:
    model = served.model
    client = served.openai
    assert model in [each.id for each in client.models.list()]
    assert client.models.retrieve(model).id == model
    with pytest.raises(openai.NotFoundError) as caught:
        client.models.retrieve("nobody/such")
    assert caught.value.code == "model_not_found"


def test_the_ollama_client_chats(served: Served) -> None:
    model = served.model
    client = served.ollama
    options = {"temperature": 0, "num_predict": 24}
    whole = client.chat(model=model, messages=QUESTION, options=options)
    assert whole.message.content
    assert whole.done_reason in ("stop", "length")
    assert whole.prompt_eval_count and whole.eval_count
    assert whole.total_duration >= whole.prompt_eval_duration
    parts = list(client.chat(model=model, messages=QUESTION, options=options, stream=True))
    assert "".join(part.message.content for part in parts) == whole.message.content
    assert [part.done for part in parts] == [False] * (len(parts) - 1) + [True]


def test_the_ollama_client_generates(served: Served) -> None:
    model = served.model
    client = served.ollama
    options = {"temperature": 0, "num_predict": 24}
    whole = client.generate(model=model, prompt="Hello", options=options)
    parts = list(client.generate(model=model, prompt="Hello", options=options, stream=True))
    assert "".join(part.response for part in parts) == whole.response
    assert parts[-1].context == whole.context


def test_the_ollama_client_lists_shows_and_sees_what_runs(served: Served) -> None:
    model = served.model
    client = served.ollama
    client.generate(model=model)
    assert f"{model}:latest" in [each.model for each in client.list().models]
    assert "completion" in client.show(model).capabilities
    assert f"{model}:latest" in [each.model for each in client.ps().models]
    with pytest.raises(ollama.ResponseError, match="not found"):
        client.chat(model="nobody", messages=QUESTION)


def test_an_answer_that_a_stop_string_ends_is_counted(served: Served) -> None:
    whole = served.openai.completions.create(model=served.model, prompt="The gateway", temperature=0, max_tokens=16)
    text = whole.choices[0].text
    stop = text[len(text) // 2 :][:3]
    cut = served.openai.completions.create(
        model=served.model, prompt="The gateway", temperature=0, max_tokens=16, stop=[stop]
    )
    assert cut.choices[0].text == text[: text.index(stop)]
    assert cut.choices[0].finish_reason == "stop"
    assert whole.usage is not None
    assert cut.usage is not None
    assert cut.usage.prompt_tokens == whole.usage.prompt_tokens > 0
    assert 0 < cut.usage.completion_tokens <= whole.usage.completion_tokens

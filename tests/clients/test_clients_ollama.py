"""The official Ollama client for Python, both kinds: every method that asks the server for something."""

from __future__ import annotations

import json
import math
from collections.abc import AsyncIterator, Iterator
from typing import Any

import ollama
import pytest


@pytest.fixture
def client(gateway: Any) -> Iterator[ollama.Client]:
    with ollama.Client(host=gateway.url) as found:
        yield found


@pytest.fixture
async def async_client(gateway: Any) -> AsyncIterator[ollama.AsyncClient]:
    async with ollama.AsyncClient(host=gateway.url) as found:
        yield found


def ask(gateway: Any, **fields: Any) -> dict[str, Any]:
    """A question whose answer is the same every time."""
    options = {"temperature": 0, "num_predict": 64, **fields.pop("options", {})}
    said = [{"role": "user", "content": fields.pop("said", gateway.question)}]
    return {"model": gateway.chat, "messages": said, "options": options, "think": False, **fields}


def prompt(gateway: Any, **fields: Any) -> dict[str, Any]:
    options = {"temperature": 0, "num_predict": 16}
    return {"model": gateway.chat, "prompt": gateway.question, "options": options, "think": False, **fields}


def get_weather(city: str) -> str:
    """
    Get the weather in a city

    Args:
        city: its name

    Returns:
        what the sky looks like
    """
    return json.dumps({"sky": "sunny", "city": city})


def counted(reply: Any) -> tuple[int, int]:
    """Tokens of the prompt and of the answer; durations add up."""
    parts = (reply.load_duration, reply.prompt_eval_duration, reply.eval_duration)
    assert all(part >= 0 for part in parts)
    assert sum(parts) <= reply.total_duration
    return reply.prompt_eval_count, reply.eval_count


def unit(vector: Any) -> bool:
    return math.hypot(*vector) == pytest.approx(1, abs=1e-3)


def test_a_chat_streamed_is_the_chat_in_one_piece(client: ollama.Client, gateway: Any) -> None:
    whole = client.chat(**ask(gateway))
    parts = list(client.chat(**ask(gateway), stream=True))
    assert "".join(part.message.content or "" for part in parts) == whole.message.content != ""
    assert [part.done for part in parts] == [False] * (len(parts) - 1) + [True]
    assert counted(parts[-1]) == counted(whole)
    assert parts[-1].done_reason == whole.done_reason
    cut = client.chat(**ask(gateway, options={"num_predict": 3}))
    assert (cut.done_reason, cut.eval_count) == ("length", 3)


def test_generate_streamed_is_generate_in_one_piece(client: ollama.Client, gateway: Any) -> None:
    whole = client.generate(**prompt(gateway))
    parts = list(client.generate(**prompt(gateway), stream=True))
    assert "".join(part.response for part in parts) == whole.response != ""
    assert counted(parts[-1]) == counted(whole)
    assert list(parts[-1].context or ()) == list(whole.context or ()) != []
    assert client.generate(**prompt(gateway, context=whole.context)).prompt_eval_count > whole.prompt_eval_count
    assert client.generate(**prompt(gateway, raw=True)).prompt_eval_count < whole.prompt_eval_count


def test_formats_hold(client: ollama.Client, gateway: Any) -> None:
    asked = ask(gateway, said=gateway.extract, format=gateway.person.model_json_schema())
    whole = client.chat(**asked).message.content or ""
    streamed = "".join(part.message.content or "" for part in client.chat(**asked, stream=True))
    assert gateway.person.model_validate_json(whole) == gateway.person.model_validate_json(streamed)
    written = client.generate(**prompt(gateway, prompt=gateway.extract, format="json", options={"temperature": 0}))
    assert isinstance(json.loads(written.response), dict)


def test_log_probabilities(client: ollama.Client, gateway: Any) -> None:
    found = client.chat(**ask(gateway, logprobs=True, top_logprobs=2))
    assert "".join(token.token for token in found.logprobs or ()) == found.message.content
    assert all(token.logprob <= 0 and len(token.top_logprobs or ()) == 2 for token in found.logprobs or ())


def test_a_tool_is_called_where_it_helps_and_its_result_is_taken(client: ollama.Client, gateway: Any) -> None:
    asked = ask(gateway, said=gateway.weather, tools=[get_weather])
    whole = client.chat(**asked)
    calls = [call for part in client.chat(**asked, stream=True) for call in part.message.tool_calls or ()]
    (call,) = whole.message.tool_calls or ()
    assert [one.function for one in calls] == [call.function]
    assert (call.function.name, call.function.arguments) == ("get_weather", {"city": "Oslo"})
    result = {"role": "tool", "tool_name": "get_weather", "content": get_weather(**call.function.arguments)}
    answer = client.chat(**{**asked, "messages": [*asked["messages"], whole.message, result]})
    assert answer.message.content


def test_vectors(client: ollama.Client, gateway: Any) -> None:
    found = client.embed(gateway.embed, ["a llama", "a gateway"])
    assert len(found.embeddings) == 2
    assert all(map(unit, found.embeddings))
    assert found.prompt_eval_count > 0
    (short,) = client.embed(gateway.embed, "a llama", dimensions=4).embeddings
    assert len(short) == 4
    assert unit(short)
    legacy = client.embeddings(gateway.embed, "a llama").embedding  # as the model made it, of any length
    assert [number / math.hypot(*legacy) for number in legacy] == pytest.approx(list(found.embeddings[0]), abs=1e-5)


def test_models_are_listed_shown_loaded_and_unloaded(client: ollama.Client, gateway: Any) -> None:
    assert {f"{gateway.chat}:latest", f"{gateway.embed}:latest"} <= {model.model for model in client.list().models}
    shown = client.show(gateway.chat)
    assert {"completion", "tools"} <= set(shown.capabilities or ())
    assert shown.modelinfo is not None
    assert shown.modelinfo[f"{shown.modelinfo['general.architecture']}.context_length"] == 1024
    assert client.show(gateway.embed).capabilities == ["embedding"]
    assert client.generate(gateway.chat, keep_alive="10m").done_reason == "load"
    assert f"{gateway.chat}:latest" in [model.model for model in client.ps().models]
    assert client.chat(gateway.chat, keep_alive=0).done_reason == "unload"
    assert f"{gateway.chat}:latest" not in [model.model for model in client.ps().models]


def test_the_store(client: ollama.Client, gateway: Any, tmp_path: Any) -> None:
    steps = [step.status for step in client.pull("org/tiny", stream=True)]
    assert (steps[0], steps[-1]) == ("pulling manifest", "success")
    assert client.pull("org/tiny").status == "success"
    made = client.create("mine", from_="org/tiny", system="You are brief.", parameters={"temperature": 0})
    assert made.status == "success"
    assert [step.status for step in client.create("mine", from_="org/tiny", stream=True)][-1] == "success"
    assert client.copy("mine", "org/copy").status == "success"
    names = {model.model for model in client.list().models}
    assert {"org/tiny:latest", "mine:latest", "org/copy:latest"} <= names
    assert client.push("org/copy").status == "success"
    assert [step.status for step in client.push("org/copy", stream=True)][-1] == "success"
    assert gateway.hub.pushed["model.safetensors"] == gateway.hub.repos["org/tiny"]["model.safetensors"]
    assert f"Bearer {gateway.token}" in gateway.hub.tokens
    for name in ("mine", "org/copy", "org/tiny"):
        assert client.delete(name).status == "success"
    assert not {model.model for model in client.list().models} & {"org/tiny:latest", "mine:latest", "org/copy:latest"}
    (tmp_path / "blob").write_bytes(b"x" * 70_000)
    assert client.create_blob(tmp_path / "blob").startswith("sha256:")


@pytest.mark.nightly  # its graphs are of another length, and compile for minutes
def test_a_pulled_model_answers_as_the_built_in_one(client: ollama.Client, gateway: Any) -> None:
    if gateway.engine != "max":
        pytest.skip("sim runs no files")
    client.pull("org/tiny")
    try:
        assert client.chat(**ask(gateway, model="org/tiny")).message == client.chat(**ask(gateway)).message
    finally:
        client.delete("org/tiny")


def test_what_is_not_here_is_refused_in_the_clients_own_errors(client: ollama.Client, gateway: Any) -> None:
    for stream in (False, True):
        with pytest.raises(ollama.ResponseError) as missing:
            list(client.chat(**ask(gateway, model="nope"), stream=stream))
        assert (missing.value.status_code, missing.value.error) == (404, "model 'nope' not found")
    with pytest.raises(ollama.ResponseError) as absent:
        client.pull("org/none")
    assert absent.value.status_code == 500
    with pytest.raises(ollama.ResponseError) as unserved:  # for models of a kind that MAX does not run
        client.systemone(gateway.chat, "Hello", {"kind": {"type": "noul", "instructions": "Is this a greeting?"}})
    assert unserved.value.status_code == 404


async def test_the_async_client_answers(async_client: ollama.AsyncClient, gateway: Any) -> None:
    whole = await async_client.chat(**ask(gateway))
    parts = [part async for part in await async_client.chat(**ask(gateway), stream=True)]
    assert "".join(part.message.content or "" for part in parts) == whole.message.content != ""
    assert counted(parts[-1]) == counted(whole)
    written = await async_client.generate(**prompt(gateway))
    pieces = [part.response async for part in await async_client.generate(**prompt(gateway), stream=True)]
    assert "".join(pieces) == written.response != ""
    asked = ask(gateway, said=gateway.extract, format=gateway.person.model_json_schema())
    assert gateway.person.model_validate_json((await async_client.chat(**asked)).message.content or "")
    called = await async_client.chat(**ask(gateway, said=gateway.weather, tools=[get_weather]))
    assert [call.function.arguments for call in called.message.tool_calls or ()] == [{"city": "Oslo"}]
    assert all(map(unit, (await async_client.embed(gateway.embed, ["a", "b"])).embeddings))
    assert len((await async_client.embeddings(gateway.embed, "a")).embedding) > 0


async def test_the_async_client_manages_models(async_client: ollama.AsyncClient, gateway: Any, tmp_path: Any) -> None:
    assert (await async_client.show(gateway.chat)).capabilities
    assert (await async_client.generate(gateway.chat, keep_alive="10m")).done_reason == "load"
    assert f"{gateway.chat}:latest" in [model.model for model in (await async_client.ps()).models]
    assert (await async_client.pull("org/tiny")).status == "success"
    assert [step.status async for step in await async_client.pull("org/tiny", stream=True)][-1] == "success"
    assert (await async_client.create("mine", from_="org/tiny")).status == "success"
    made = await async_client.create("mine", from_="org/tiny", system="You are brief.", stream=True)
    assert [step.status async for step in made][-1] == "success"
    assert (await async_client.copy("mine", "org/copy")).status == "success"
    assert (await async_client.push("org/copy")).status == "success"
    assert [step.status async for step in await async_client.push("org/copy", stream=True)][-1] == "success"
    for name in ("mine", "org/copy", "org/tiny"):
        assert (await async_client.delete(name)).status == "success"
    assert "mine:latest" not in [model.model for model in (await async_client.list()).models]
    (tmp_path / "blob").write_bytes(b"y" * 300_000)
    assert (await async_client.create_blob(tmp_path / "blob")).startswith("sha256:")
    with pytest.raises(ollama.ResponseError, match="model 'mine' not found"):
        await async_client.delete("mine")

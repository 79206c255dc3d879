"""The whole gateway with the sim engine behind it, through the official client."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import httpx
import ollama
import pytest

MESSAGES = [{"role": "user", "content": "say it again"}]


@pytest.fixture
def client(sim_url: str) -> Iterator[ollama.Client]:
    with ollama.Client(host=sim_url) as found:
        yield found


@pytest.fixture
def raw(sim_url: str) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=sim_url, timeout=30, trust_env=False) as found:
        yield found


def test_streamed_and_whole_answers_are_the_same(client: ollama.Client) -> None:
    whole = client.chat("echo", messages=MESSAGES, think=False)
    parts = list(client.chat("Echo:LATEST", messages=MESSAGES, think=False, stream=True))
    assert whole.message.content == "".join(part.message.content or "" for part in parts) == "say it again"
    assert parts[-1].model == "Echo:LATEST"
    assert parts[-1].eval_count == whole.eval_count


def test_counters_and_durations_add_up(client: ollama.Client) -> None:
    last = list(client.generate("talker", prompt="x", options={"num_predict": 5}, stream=True))[-1]
    assert (last.eval_count, last.done_reason) == (5, "length")
    parts = (last.load_duration, last.prompt_eval_duration, last.eval_duration)
    assert last.total_duration is not None
    assert all(part is not None and part > 0 for part in parts)
    assert sum(part or 0 for part in parts) <= last.total_duration


def test_greedy_answers_repeat_and_seeds_are_taken(client: ollama.Client) -> None:
    answers = {client.generate("talker", prompt="x", options={"temperature": 0, "seed": 7}).response for _ in range(3)}
    assert len(answers) == 1


def test_thinking_is_apart_from_the_answer_and_on_by_default(client: ollama.Client) -> None:
    by_default = client.chat("thinker", messages=MESSAGES)
    assert by_default.message.thinking
    without = client.chat("thinker", messages=MESSAGES, think=False)
    assert (without.message.thinking, without.message.content) == (None, by_default.message.content)
    parts = list(client.chat("thinker", messages=MESSAGES, stream=True))
    kinds = ["t" if part.message.thinking else "c" for part in parts if part.message.thinking or part.message.content]
    assert kinds == sorted(kinds, reverse=True)


def test_a_tool_is_called(client: ollama.Client) -> None:
    tool = {"type": "function", "function": {"name": "get_weather", "parameters": {"type": "object"}}}
    for stream in (False, True):
        answer = client.chat("caller", messages=[{"role": "user", "content": "weather?"}], tools=[tool], stream=stream)
        parts: list[Any] = list(answer) if stream else [answer]
        calls = [call for part in parts for call in part.message.tool_calls or ()]
        assert [(call.function.name, dict(call.function.arguments)) for call in calls] == [
            ("get_weather", {"city": "Paris"})
        ]
        assert parts[-1].done_reason == "stop"


def test_stop_strings_are_never_part_of_the_answer(client: ollama.Client) -> None:
    answer = client.chat("echo", messages=MESSAGES, think=False, options={"stop": ["again"]})
    assert (answer.message.content, answer.done_reason) == ("say it ", "stop")


def test_a_context_continues_where_it_left_off(client: ollama.Client) -> None:
    first = client.generate("talker", prompt="one", options={"num_predict": 3})
    assert first.context
    second = client.generate("talker", prompt="two", context=first.context, options={"num_predict": 3})
    assert second.context is not None
    assert list(second.context[: len(first.context)]) == list(first.context)
    assert second.prompt_eval_count == len(second.context) - 3


def test_a_template_for_one_request(client: ollama.Client) -> None:
    answer = client.generate("talker", prompt="x", template="{{ .Prompt }}!", options={"num_predict": 2})
    assert answer.done


def test_vectors_are_normalised_and_cut(client: ollama.Client) -> None:
    [vector] = client.embed("vectors", "a").embeddings
    [shorter] = client.embed("vectors", "a", dimensions=3).embeddings
    assert (len(vector), len(shorter)) == (8, 3)
    assert sum(value * value for value in vector) == pytest.approx(1, abs=1e-6)
    assert sum(value * value for value in shorter) == pytest.approx(1, abs=1e-6)
    old = list(client.embeddings("vectors", "a").embedding)
    assert [value / old[0] for value in old] == pytest.approx([value / vector[0] for value in vector], rel=1e-5)


def test_keep_alive_sticks_until_it_is_said_again(client: ollama.Client) -> None:
    def expires() -> datetime | None:
        found = {model.model: model.expires_at for model in client.ps().models}
        return found.get("talker:latest")

    client.generate("talker", keep_alive=-1)
    forever = expires()
    assert forever is not None
    assert forever.year > 2300
    client.generate("talker", prompt="x", options={"num_predict": 1})
    assert expires() is not None
    assert (expires() or forever).year > 2300
    client.generate("talker", prompt="x", options={"num_predict": 1}, keep_alive="10m")
    later = expires()
    assert later is not None
    assert 500 < (later - datetime.now(UTC)).total_seconds() <= 600
    assert client.generate("talker", keep_alive=0).done_reason == "unload"
    assert expires() is None


def test_errors_reach_the_client_in_words(client: ollama.Client, raw: httpx.Client) -> None:
    with pytest.raises(ollama.ResponseError, match="an error was encountered while running the model") as error:
        client.chat("broken", messages=MESSAGES)
    assert error.value.status_code == 500
    with pytest.raises(ollama.ResponseError, match="an error was encountered while running the model"):
        list(client.chat("breaking", messages=MESSAGES, stream=True))
    with pytest.raises(ollama.ResponseError, match="failed to load model"):
        client.generate("unloadable", prompt="x")
    with pytest.raises(ollama.ResponseError, match="context length"):
        client.generate("small", prompt="w " * 100)
    assert raw.post("/api/nope").text == "404 page not found"
    assert raw.put("/api/chat").headers["allow"] == "POST"
    assert raw.get("/api/chat").headers["content-type"] == "text/plain"


def test_a_long_conversation_loses_its_beginning(client: ollama.Client) -> None:
    said = [{"role": "user", "content": f"{word} " * 12} for word in ("one", "two", "three")]
    answer = client.chat("small", messages=said)
    assert (answer.prompt_eval_count or 0) < 64
    with pytest.raises(ollama.ResponseError):
        client.chat("small", messages=[{"role": "user", "content": "w " * 100}] * 2)


def test_models_are_listed_and_shown(client: ollama.Client) -> None:
    listed = {model.model: model for model in client.list().models}
    assert {"talker:latest", "vectors:latest"} <= set(listed)
    card = client.show("TALKER")
    assert card.capabilities == ["completion", "tools"]
    assert card.modelinfo is not None
    assert card.modelinfo[f"{card.modelinfo['general.architecture']}.context_length"] == 4096

"""A last message of the assistant is the beginning of its answer, and is continued rather than closed and answered."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest

QUESTION = {"role": "user", "content": "Where does it listen?"}
SYSTEM = {"role": "system", "content": "Be brief."}
BEGUN = {"role": "assistant", "content": "It listens on"}
CALL = {"role": "assistant", "content": "", "tool_calls": [{"function": {"name": "f", "arguments": {}}}]}
RESULT = {"role": "tool", "content": "11434", "tool_name": "f"}
TOOL = {"type": "function", "function": {"name": "f", "parameters": {"type": "object", "properties": {}}}}

Body = dict[str, Any]


@pytest.fixture
def raw(sim_url: str) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=sim_url, timeout=30, trust_env=False) as found:
        yield found


@pytest.fixture
def rendered(raw: httpx.Client) -> Callable[..., str]:
    """The prompt that the model sees."""

    def render(*messages: object, model: str = "talker", **more: object) -> str:
        body = {"model": model, "messages": messages, "_debug_render_only": True, **more}
        answer = raw.post("/api/chat", json=body).json()
        text = answer["_debug_info"]["rendered_template"]
        assert isinstance(text, str)
        return text

    return render


CONTINUED: list[tuple[tuple[Body, ...], Body]] = [
    ((QUESTION, BEGUN), {}),
    ((QUESTION, {**BEGUN, "content": "It listens on "}), {}),
    ((QUESTION, {**BEGUN, "content": "It listens on\n\n"}), {}),
    ((SYSTEM, QUESTION, BEGUN), {}),
    ((QUESTION, BEGUN), {"tools": [TOOL]}),
    ((SYSTEM, QUESTION, BEGUN), {"tools": [TOOL]}),
    ((QUESTION, {**BEGUN, "content": "One."}, BEGUN), {}),
    ((QUESTION, BEGUN, QUESTION, BEGUN), {}),
    ((QUESTION, {**BEGUN, "role": "model"}), {}),
    ((QUESTION, {**BEGUN, "thinking": "a port, then"}), {}),
    ((QUESTION, {**BEGUN, "content": '{"a":'}), {"format": "json"}),
    ((QUESTION, {**BEGUN, "content": '{"a":'}), {"format": {"type": "object"}}),
    ((QUESTION, CALL, RESULT, BEGUN), {"tools": [TOOL]}),
    ((BEGUN,), {}),
    ((QUESTION, BEGUN, {"role": "assistant", "content": ""}), {}),
]
ANSWERED: list[tuple[Body, ...]] = [
    (QUESTION,),
    (QUESTION, BEGUN, QUESTION),
    (QUESTION, CALL),
    (QUESTION, {**CALL, "content": "Let me see"}),
    (QUESTION, CALL, RESULT),
    (QUESTION, BEGUN, SYSTEM),
]


@pytest.mark.parametrize(("messages", "more"), CONTINUED, ids=str)
def test_b02_the_prompt_ends_with_the_assistants_words(
    rendered: Callable[..., str], messages: tuple[Body, ...], more: Body
) -> None:
    last = next(message["content"] for message in reversed(messages) if message["content"])
    assert rendered(*messages, **more).rstrip().endswith(last.rstrip())


@pytest.mark.parametrize("messages", ANSWERED, ids=str)
def test_b02_any_other_conversation_is_answered(rendered: Callable[..., str], messages: tuple[Body, ...]) -> None:
    assert rendered(*messages, tools=[TOOL]).endswith("assistant:")


def test_b02_an_empty_beginning_is_none(rendered: Callable[..., str]) -> None:
    empty = {"role": "assistant", "content": ""}
    assert rendered(QUESTION, empty) == rendered(QUESTION, empty, empty) == rendered(QUESTION)


@pytest.mark.parametrize("think", [None, True, "high", False])
def test_b02_an_answer_that_has_begun_is_not_thought_about(raw: httpx.Client, think: object) -> None:
    body = {"model": "thinker", "messages": [QUESTION, BEGUN], "think": think}
    lines = [json.loads(line) for line in raw.post("/api/chat", json=body).text.splitlines()]
    assert not any(line["message"].get("thinking") for line in lines)
    assert "".join(line["message"]["content"] for line in lines)


def test_b02_what_is_counted_is_what_is_continued(raw: httpx.Client) -> None:
    """Also over the context, where the beginning stays whatever is left out."""
    messages = [*({"role": "user", "content": f"word {number} " * 4} for number in range(60)), BEGUN]
    for stream in (True, False):
        answer = raw.post("/api/chat", json={"model": "small", "messages": messages, "stream": stream})
        assert answer.status_code == 200
        last = json.loads(answer.text.splitlines()[-1])
        assert 0 < last["prompt_eval_count"] < 64


@pytest.mark.parametrize(
    ("more", "end"),
    [
        ({}, "It listens on\nassistant:"),
        ({"add_generation_prompt": True}, "It listens on\nassistant:"),
        ({"continue_final_message": True}, "It listens on"),
        ({"continue_final_message": True, "add_generation_prompt": False}, "It listens on"),
        ({"add_generation_prompt": False}, "It listens on"),
        ({"continue_final_message": False, "add_generation_prompt": False}, "It listens on"),
    ],
)
def test_b02_openais_dialect_continues_as_vllm_does_and_only_when_asked(
    raw: httpx.Client, more: Body, end: str
) -> None:
    body = {"model": "echo", "messages": [QUESTION, BEGUN], **more}
    ids = raw.post("/tokenize", json=body).json()["tokens"]
    assert raw.post("/detokenize", json={"model": "echo", "tokens": ids}).json()["prompt"].endswith(f"assistant: {end}")
    answer = raw.post("/v1/chat/completions", json={**body, "max_tokens": 4})
    assert answer.status_code == 200
    assert answer.json()["usage"]["prompt_tokens"] == len(ids)


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/tokenize"])
def test_b02_contradictions_are_refused(raw: httpx.Client, path: str) -> None:
    both = {"continue_final_message": True, "add_generation_prompt": True}
    assert raw.post(path, json={"model": "echo", "messages": [QUESTION, BEGUN], **both}).status_code == 400
    one = {"continue_final_message": True}
    assert raw.post(path, json={"model": "echo", "messages": [QUESTION], **one}).status_code == 400

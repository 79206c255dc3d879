"""The chat template and the training text are one."""

from __future__ import annotations

import json
from functools import cache
from itertools import islice
from typing import Any

import pytest

from hyperllama_builtin.models import BUILTIN
from hyperllama_builtin.training.corpus_text import text_of
from hyperllama_builtin.training.dialogue import Dialogue, Tool
from hyperllama_builtin.training.mixture import dialogues
from hyperllama_builtin.training.template import CHAT_TEMPLATE

jinja2 = pytest.importorskip("jinja2")


@cache
def _template() -> Any:
    environment = jinja2.Environment()
    environment.filters["tojson"] = lambda value: json.dumps(value, ensure_ascii=False)
    return environment.from_string(CHAT_TEMPLATE)


def _render(**values: Any) -> str:
    return str(_template().render(bos_token="<|begin|>", **values))


def _messages(dialogue: Dialogue) -> list[dict[str, Any]]:
    messages: list[dict[str, Any]] = []
    for turn in dialogue.turns:
        if turn.role == "assistant" and '", "parameters": {' in turn.content:
            call = json.loads(turn.content)
            function = {"name": call["name"], "arguments": call["parameters"]}
            messages.append({"role": "assistant", "content": "", "tool_calls": [{"function": function}]})
        else:
            messages.append({"role": turn.role, "content": turn.content})
    return messages


def test_the_template_writes_the_training_text() -> None:
    for dialogue in islice(dialogues(3), 2_000):
        rendered = _render(messages=_messages(dialogue), tools=[tool.openai() for tool in dialogue.tools] or None)
        assert rendered == text_of(dialogue)


def test_the_generation_prompt_opens_the_assistants_turn() -> None:
    rendered = _render(messages=[{"role": "user", "content": "Hi"}], add_generation_prompt=True)
    assert rendered == "<|begin|><|user|>Hi<|end|><|assistant|>"


def test_calls_may_come_as_text_and_be_several() -> None:
    calls = [{"function": {"name": "add", "arguments": '{"a": 1}'}}, {"function": {"name": "sub", "arguments": {}}}]
    rendered = _render(messages=[{"role": "assistant", "content": None, "tool_calls": calls}])
    assert rendered.endswith(
        '<|assistant|>{"name": "add", "parameters": {"a": 1}}\n{"name": "sub", "parameters": {}}<|end|>'
    )


def test_a_developer_turn_is_a_system_turn() -> None:
    assert "<|system|>Be brief.<|end|>" in _render(messages=[{"role": "developer", "content": "Be brief."}])


def test_a_tool_without_description_or_parameters_renders() -> None:
    rendered = _render(messages=[], tools=[{"type": "function", "function": {"name": "now"}}])
    assert rendered == "<|begin|><|tools|>: now<|end|>"
    assert text_of(Dialogue("", (), (Tool("now", "", {}),))) == rendered


def test_a_type_that_is_a_list_is_left_out() -> None:
    tool = {"function": {"name": "f", "description": "d", "parameters": {"properties": {"x": {"type": ["a", "b"]}}}}}
    assert "d: f; x<|end|>" in _render(messages=[], tools=[tool])


def test_the_folder_carries_this_template() -> None:
    config = json.loads((BUILTIN[0].folder / "tokenizer_config.json").read_text(encoding="utf-8"))
    assert config["chat_template"] == CHAT_TEMPLATE

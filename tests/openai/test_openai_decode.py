"""Wire requests become generations."""

from __future__ import annotations

import math
from typing import Any

import pytest

from hyperllama.generation import (
    AnyJson,
    AnyTool,
    Choice,
    GenerationRequest,
    Grammar,
    JsonSchema,
    NamedTool,
    NoTool,
    Regex,
    Sampling,
    ToolSpec,
)
from hyperllama.messages import Chat, Image, Message, Prompt, PromptTokens, Text, ToolCall
from hyperllama.models import ModelInfo
from hyperllama.web import BodyReader
from hyperllama_openai.decode.chat import chat
from hyperllama_openai.decode.embeddings import embeddings
from hyperllama_openai.errors import BodyRefusals
from hyperllama_openai.settings import Settings
from hyperllama_openai.wire.chat import ChatRequest
from hyperllama_openai.wire.completions import CompletionRequest
from hyperllama_openai.wire.embeddings import EmbeddingRequest
from tests.support.asking_openai import HI, INFO, PNG, TOOL, ask, complete

convert = BodyReader(BodyRefusals()).convert

OTHER = {"type": "function", "function": {"name": "g", "description": "does g", "strict": True}}
SCHEMA = {"type": "object", "properties": {"a": {"type": "integer"}}}


def messages(*found: dict[str, Any], merge: bool = True) -> tuple[Message, ...]:
    request = ask({"messages": list(found)}, Settings(merge_system=merge))
    assert isinstance(request.input, Chat)
    return request.input.messages


def test_a_bare_request_leaves_everything_to_the_model() -> None:
    assert ask({}) == GenerationRequest(
        model="m", input=Chat((Message(role="user", parts=(Text("Hi"),)),)), sampling=Sampling()
    )


def test_an_explicit_null_is_the_same_as_leaving_the_field_out() -> None:
    optional = set(ChatRequest.__struct_fields__) - {"model", "messages"}
    assert ask(dict.fromkeys(optional)) == ask({})
    optional = set(CompletionRequest.__struct_fields__) - {"model", "prompt"}
    assert complete({"prompt": "x", **dict.fromkeys(optional)}) == complete({"prompt": "x"})


SAMPLING: list[tuple[dict[str, Any], Sampling]] = [
    ({"temperature": 0}, Sampling(temperature=0)),
    ({"temperature": 2}, Sampling(temperature=2)),
    ({"top_p": 0}, Sampling(top_p=1e-6)),
    ({"top_p": 1}, Sampling(top_p=1)),
    ({"max_tokens": 5}, Sampling(max_tokens=5)),
    ({"max_completion_tokens": 7}, Sampling(max_tokens=7)),
    ({"max_tokens": 5, "max_completion_tokens": 7}, Sampling(max_tokens=7)),
    ({"stop": "a"}, Sampling(stop=("a",))),
    ({"stop": ["a", "", "b"]}, Sampling(stop=("a", "b"))),
    ({"stop": ""}, Sampling()),
    ({"stop": []}, Sampling()),
    ({"seed": -(2**63)}, Sampling(seed=-(2**63))),
    ({"seed": 2**63 - 1}, Sampling(seed=2**63 - 1)),
    ({"frequency_penalty": -2, "presence_penalty": 2}, Sampling(frequency_penalty=-2, presence_penalty=2)),
    ({"logit_bias": {"0": -100, "999": 100}}, Sampling(logit_bias={0: -100, 999: 100})),
    ({"logit_bias": {}}, Sampling()),
    ({"logprobs": True}, Sampling(logprobs=0)),
    ({"logprobs": True, "top_logprobs": 20}, Sampling(logprobs=20)),
    ({"logprobs": False, "top_logprobs": 0}, Sampling()),
    ({"top_k": -1, "min_p": 0.1, "repetition_penalty": 1.1}, Sampling(top_k=-1, min_p=0.1, repetition_penalty=1.1)),
    ({"repeat_penalty": 1.2}, Sampling(repetition_penalty=1.2)),
    ({"ignore_eos": True, "min_tokens": 3}, Sampling(ignore_eos=True, min_tokens=3)),
    ({"stop_token_ids": [1, 2]}, Sampling(stop_token_ids=(1, 2))),
]


@pytest.mark.parametrize(("body", "expected"), SAMPLING, ids=str)
def test_sampling(body: dict[str, Any], expected: Sampling) -> None:
    assert ask(body).sampling == expected


def test_choices_with_a_seed_each_get_their_own() -> None:
    requests = chat(convert({**HI, "n": 3, "seed": 2**63 - 1}, ChatRequest, strict=False), INFO, Settings())
    assert [request.sampling.seed for request in requests] == [2**63 - 1, -(2**63), -(2**63) + 1]


MESSAGES: list[tuple[str, dict[str, Any], Message]] = [
    ("text", {"role": "user", "content": "a"}, Message(role="user", parts=(Text("a"),))),
    ("nothing said", {"role": "user", "content": ""}, Message(role="user")),
    (
        "parts",
        {"role": "user", "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b", "x": 1}]},
        Message(role="user", parts=(Text("a"), Text("b"))),
    ),
    ("name", {"role": "user", "content": "a", "name": "Ann"}, Message(role="user", parts=(Text("a"),), name="Ann")),
    (
        "image",
        {"role": "user", "content": [{"type": "image_url", "image_url": {"url": PNG, "detail": "low"}}]},
        Message(role="user", parts=(Image(b"\x89PNG"),)),
    ),
    (
        "image as a string",
        {"role": "user", "content": [{"type": "image_url", "image_url": PNG}]},
        Message(role="user", parts=(Image(b"\x89PNG"),)),
    ),
    ("developer", {"role": "developer", "content": "a"}, Message(role="system", parts=(Text("a"),))),
    (
        "system parts",
        {"role": "system", "content": [{"type": "text", "text": "a"}]},
        Message(role="system", parts=(Text("a"),)),
    ),
    (
        "replayed dump of nulls",
        {"role": "assistant", "content": None, "refusal": None, "audio": None, "function_call": None,
         "annotations": [], "tool_calls": [{"id": "c", "function": {"name": "f", "arguments": ""}}]},
        Message(role="assistant", tool_calls=(ToolCall("c", "f", "{}"),)),
    ),
    (
        "arguments as an object",
        {"role": "assistant", "tool_calls": [{"id": "c", "function": {"name": "f", "arguments": {"a": 1}}}]},
        Message(role="assistant", tool_calls=(ToolCall("c", "f", '{"a":1}'),)),
    ),
    (
        "reasoning_content",
        {"role": "assistant", "content": "a", "reasoning_content": "r"},
        Message(role="assistant", parts=(Text("a"),), reasoning="r"),
    ),
    (
        "reasoning",
        {"role": "assistant", "content": "a", "reasoning": "r"},
        Message(role="assistant", parts=(Text("a"),), reasoning="r"),
    ),
    (
        "assistant parts",
        {"role": "assistant", "content": [{"type": "text", "text": "a"}, {"type": "refusal", "refusal": "b"}]},
        Message(role="assistant", parts=(Text("a"), Text("b"))),
    ),
    (
        "tool parts",
        {"role": "tool", "tool_call_id": "c", "content": [{"type": "text", "text": "a"}]},
        Message(role="tool", parts=(Text("a"),), tool_call_id="c"),
    ),
    ("function", {"role": "function", "name": "f", "content": "a"}, Message(role="tool", parts=(Text("a"),), name="f")),
    (
        "function_call",
        {"role": "assistant", "content": None, "function_call": {"name": "f", "arguments": "{}"}},
        Message(role="assistant", tool_calls=(ToolCall("call_0", "f", "{}"),)),
    ),
]  # fmt: skip


@pytest.mark.parametrize(("body", "expected"), [case[1:] for case in MESSAGES], ids=[case[0] for case in MESSAGES])
def test_messages(body: dict[str, Any], expected: Message) -> None:
    assert messages(body) == (expected,)


def test_a_tool_answer_learns_the_name_of_its_call() -> None:
    call = {"role": "assistant", "tool_calls": [{"id": "c", "type": "function", "function": {"name": "f"}}]}
    assert messages(call, {"role": "tool", "tool_call_id": "c", "content": "1"})[1].name == "f"


def test_system_messages_become_one_at_the_front_unless_the_config_says_otherwise() -> None:
    told = [
        {"role": "system", "content": "a"},
        {"role": "user", "content": "Hi"},
        {"role": "developer", "content": "b"},
    ]
    assert [(message.role, message.text) for message in messages(*told)] == [("system", "a\n\nb"), ("user", "Hi")]
    assert [message.text for message in messages(*told, merge=False)] == ["a", "Hi", "b"]


def test_an_assistant_message_is_continued_only_when_asked() -> None:
    told = [*HI["messages"], {"role": "assistant", "content": "Yes,"}]
    assert ask({"messages": told}).input.continue_last is False
    request = ask({"messages": told, "continue_final_message": True, "add_generation_prompt": False})
    assert request.input.continue_last is True


TOOLS: list[tuple[dict[str, Any], Any]] = [
    ({"tools": [TOOL]}, None),
    ({"tools": [TOOL], "tool_choice": "auto"}, None),
    ({"tools": [TOOL], "tool_choice": "none"}, NoTool()),
    ({"tools": [TOOL], "tool_choice": "required"}, AnyTool()),
    ({"tools": [TOOL], "tool_choice": {"type": "function", "function": {"name": "f"}}}, NamedTool("f")),
    ({"tools": [], "tool_choice": "auto"}, None),
]


@pytest.mark.parametrize(("body", "choice"), TOOLS, ids=str)
def test_tool_choice(body: dict[str, Any], choice: Any) -> None:
    assert ask(body).tool_choice == choice


def test_tools_and_the_allowed_ones_among_them() -> None:
    f = ToolSpec("f", "", {"type": "object"}, place="tools[0]")
    g = ToolSpec("g", "does g", {"type": "object", "properties": {}}, strict=True, place="tools[1]")
    assert ask({"tools": [TOOL, OTHER]}).tools == (f, g)
    allowed = {"mode": "required", "tools": [{"type": "function", "function": {"name": "g"}}]}
    request = ask({"tools": [TOOL, OTHER], "tool_choice": {"type": "allowed_tools", "allowed_tools": allowed}})
    assert (request.tools, request.tool_choice) == ((g,), AnyTool())
    assert ask({"tools": [TOOL], "parallel_tool_calls": False}).parallel_tool_calls is False


FORMATS: list[tuple[dict[str, Any], Any]] = [
    ({"response_format": {"type": "text"}}, None),
    ({"response_format": {"type": "json_object"}}, AnyJson()),
    ({"response_format": {"type": "json_object", "schema": SCHEMA}}, JsonSchema(SCHEMA)),
    ({"response_format": {"type": "json_schema", "json_schema": {"name": "n", "schema": SCHEMA}}}, JsonSchema(SCHEMA)),
    ({"response_format": {"type": "json_schema", "json_schema": {"name": "n", "schema": {}}}}, AnyJson()),
    ({"response_format": {"type": "json_schema", "schema": SCHEMA}}, JsonSchema(SCHEMA)),
    ({"guided_json": SCHEMA}, JsonSchema(SCHEMA)),
    ({"guided_json": '{"type":"object"}'}, JsonSchema({"type": "object"})),
    ({"guided_regex": "a+"}, Regex("a+")),
    ({"guided_choice": ["a", "b"]}, Choice(("a", "b"))),
    ({"guided_grammar": "root ::= 'a'"}, Grammar("root ::= 'a'")),
    ({"structured_outputs": {"json": SCHEMA}}, JsonSchema(SCHEMA)),
    ({"structured_outputs": {"json_object": True}}, AnyJson()),
    ({"structured_outputs": {"regex": "a"}}, Regex("a")),
    ({"structured_outputs": {"choice": ["a"]}}, Choice(("a",))),
    ({"structured_outputs": {"grammar": "g"}}, Grammar("g")),
    ({"regex": "a"}, Regex("a")),
    ({"ebnf": "g"}, Grammar("g")),
    ({"json_schema": SCHEMA}, JsonSchema(SCHEMA)),
    ({"grammar": "g"}, Grammar("g")),
]


@pytest.mark.parametrize(("body", "expected"), FORMATS, ids=str)
def test_output_formats(body: dict[str, Any], expected: Any) -> None:
    assert ask(body).output == expected


REASONING: list[tuple[dict[str, Any], Any]] = [
    ({"reasoning_effort": "none"}, False),
    ({"reasoning_effort": "minimal"}, "low"),
    ({"reasoning_effort": "high"}, "high"),
    ({"reasoning_effort": "xhigh"}, "max"),
    ({"reasoning": {"effort": "low"}}, "low"),
    ({"reasoning": {"enabled": False}}, False),
    ({"thinking": {"type": "enabled", "budget_tokens": 100}}, True),
    ({"chat_template_kwargs": {"enable_thinking": False}}, False),
    ({}, None),
]


@pytest.mark.parametrize(("body", "expected"), REASONING, ids=str)
def test_reasoning(body: dict[str, Any], expected: Any) -> None:
    assert ask(body).reasoning == expected
    cannot = ModelInfo(name="m", engine="fake", capabilities=frozenset({"chat"}), context_length=1024)
    assert ask(body, info=cannot).reasoning is None


def test_the_rest_of_a_chat() -> None:
    request = ask({"keep_alive": "5m", "return_token_ids": True, "chat_template_kwargs": {"enable_thinking": True}})
    assert (request.keep_alive, request.return_token_ids) == (300.0, True)
    assert request.input.template_kwargs == {"enable_thinking": True}
    assert ask({"keep_alive": -1}).keep_alive == math.inf


PROMPTS: list[tuple[Any, tuple[Any, ...]]] = [
    ("a", (Prompt("a"),)),
    (["a", "b"], (Prompt("a"), Prompt("b"))),
    ([1, 2], (PromptTokens((1, 2)),)),
    ([[1, 2], [3]], (PromptTokens((1, 2)), PromptTokens((3,)))),
    (["a", [3]], (Prompt("a"), PromptTokens((3,)))),
]


@pytest.mark.parametrize(("prompt", "expected"), PROMPTS, ids=str)
def test_prompts(prompt: Any, expected: tuple[Any, ...]) -> None:
    plan = complete({"prompt": prompt})
    assert plan.prompts == expected
    assert tuple(request.input for request in plan.requests) == expected
    assert plan.requests[0].sampling.max_tokens == 16


def test_the_best_of_several_needs_their_likelihoods() -> None:
    plan = complete({"prompt": ["a", "b"], "n": 2, "best_of": 3})
    assert (plan.n, plan.candidates, len(plan.requests)) == (2, 3, 6)
    assert plan.requests[0].sampling.logprobs == 0
    assert complete({"prompt": "a", "suffix": "z", "add_special_tokens": False}).prompts == (
        Prompt("a", suffix="z", special=False),
    )


EMBEDDED: list[tuple[Any, tuple[Any, ...]]] = [
    ("a", ("a",)),
    (["a", "b"], ("a", "b")),
    ([1, 2], ((1, 2),)),
    ([[1], [2, 3]], ((1,), (2, 3))),
]


@pytest.mark.parametrize(("value", "expected"), EMBEDDED, ids=str)
def test_embedding_inputs(value: Any, expected: tuple[Any, ...]) -> None:
    asked = embeddings(convert({"model": "m", "input": value}, EmbeddingRequest, strict=False), INFO, Settings())
    assert asked.inputs == expected
    assert (asked.truncate, asked.normalize, asked.dimensions) == (False, True, None)

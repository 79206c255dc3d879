"""Wire requests become generations, or are refused with the field at fault."""

from __future__ import annotations

import base64
import math
from typing import Any

import pytest
from msgspec.structs import replace

from hyperllama.errors import ContextTooLong, InvalidRequest, UnsupportedFeature
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
from hyperllama_openai.body import convert
from hyperllama_openai.decode.chat import chat
from hyperllama_openai.decode.completions import Plan, completions
from hyperllama_openai.decode.embeddings import embeddings
from hyperllama_openai.settings import Settings
from hyperllama_openai.wire.chat import ChatRequest
from hyperllama_openai.wire.completions import CompletionRequest
from hyperllama_openai.wire.embeddings import EmbeddingRequest

INFO = ModelInfo(
    name="m",
    engine="fake",
    capabilities=frozenset({"completion", "chat", "thinking", "tools", "vision", "insert"}),
    context_length=1024,
    vocab_size=1000,
)
HI = {"model": "m", "messages": [{"role": "user", "content": "Hi"}]}
TOOL = {"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}
OTHER = {"type": "function", "function": {"name": "g", "description": "does g", "strict": True}}
PNG = "data:image/png;base64," + base64.b64encode(b"\x89PNG").decode()
SCHEMA = {"type": "object", "properties": {"a": {"type": "integer"}}}


def ask(body: dict[str, Any], settings: Settings = Settings(), info: ModelInfo = INFO) -> GenerationRequest:
    return chat(convert({**HI, **body}, ChatRequest, strict=settings.strict), info, settings)[0]


def messages(*found: dict[str, Any], merge: bool = True) -> tuple[Message, ...]:
    request = ask({"messages": list(found)}, Settings(merge_system=merge))
    assert isinstance(request.input, Chat)
    return request.input.messages


def complete(body: dict[str, Any], settings: Settings = Settings()) -> Plan:
    return completions(convert({"model": "m", **body}, CompletionRequest, strict=False), INFO, settings)


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
    f = ToolSpec("f", "", {"type": "object"})
    g = ToolSpec("g", "does g", {"type": "object", "properties": {}}, strict=True)
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


REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"model": None}, "model"),
    ({"messages": []}, "messages"),
    ({"messages": None}, "messages"),
    ({"messages": [{"role": "user"}]}, "messages[0].content"),
    ({"messages": [{"role": "bot", "content": "a"}]}, "messages[0].role"),
    ({"messages": [{"content": "a"}]}, "messages[0].role"),
    ({"messages": [{"role": "user", "content": 5}]}, "messages[0].content"),
    ({"messages": [{"role": "user", "content": [{"type": "hologram"}]}]}, "messages[0].content[0].type"),
    ({"messages": [{"role": "user", "content": [{"type": "input_audio"}]}]}, "messages[0].content[0].type"),
    ({"messages": [{"role": "user", "content": [{"type": "text"}]}]}, "messages[0].content[0].text"),
    ({"messages": [{"role": "system", "content": [{"type": "image_url", "image_url": PNG}]}]},
     "messages[0].content[0].type"),
    ({"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": "http://127.0.0.1/a.png"}]}]},
     "messages[0].content[0].image_url.url"),
    ({"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": "file:///etc/passwd"}]}]},
     "messages[0].content[0].image_url.url"),
    ({"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": "data:image/png;base64,?"}]}]},
     "messages[0].content[0].image_url.url"),
    ({"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": PNG}] * 17}]}, "messages"),
    ({"messages": [{"role": "assistant", "tool_calls": [{"id": "c", "function": {"name": "f", "arguments": "{"}}]}]},
     "messages[0].tool_calls[0].function.arguments"),
    ({"messages": [{"role": "assistant", "tool_calls": [{"id": "c"}]}]}, "messages[0].tool_calls[0].function"),
    ({"temperature": -0.1}, "temperature"),
    ({"temperature": 2.1}, "temperature"),
    ({"temperature": "1"}, "temperature"),
    ({"temperature": True}, "temperature"),
    ({"temperature": 1e308}, "temperature"),
    ({"temperature": math.inf}, "temperature"),
    ({"top_p": 1.01}, "top_p"),
    ({"top_p": -1}, "top_p"),
    ({"n": 0}, "n"),
    ({"n": 9}, "n"),
    ({"n": 129}, "n"),
    ({"n": 2**63}, "n"),
    ({"n": 1.5}, "n"),
    ({"max_tokens": 0}, "max_tokens"),
    ({"max_tokens": -1}, "max_tokens"),
    ({"max_completion_tokens": 0}, "max_completion_tokens"),
    ({"max_tokens": 2**31}, "max_tokens"),
    ({"seed": 2**63}, "seed"),
    ({"seed": -(2**63) - 1}, "seed"),
    ({"frequency_penalty": 2.1}, "frequency_penalty"),
    ({"presence_penalty": -2.1}, "presence_penalty"),
    ({"top_logprobs": 1}, "top_logprobs"),
    ({"logprobs": True, "top_logprobs": 21}, "top_logprobs"),
    ({"logprobs": True, "top_logprobs": -1}, "top_logprobs"),
    ({"logprobs": 1}, "logprobs"),
    ({"stop": ["a"] * 17}, "stop"),
    ({"stop": "a" * 257}, "stop"),
    ({"stop": [1]}, "stop[0]"),
    ({"logit_bias": {"1": 101}}, "logit_bias[...]"),
    ({"logit_bias": {"1000": 1}}, "logit_bias"),
    ({"logit_bias": {"-1": 1}}, "logit_bias"),
    ({"logit_bias": {"x": 1}}, "logit_bias"),
    ({"logit_bias": {str(n): 1 for n in range(1025)}}, "logit_bias"),
    ({"top_k": -2}, "top_k"),
    ({"min_p": 1.1}, "min_p"),
    ({"repetition_penalty": 0}, "repetition_penalty"),
    ({"repetition_penalty": 11}, "repetition_penalty"),
    ({"min_tokens": -1}, "min_tokens"),
    ({"min_tokens": 9, "max_tokens": 8}, "min_tokens"),
    ({"stop_token_ids": [-1]}, "stop_token_ids[0]"),
    ({"stop_token_ids": [1] * 65}, "stop_token_ids"),
    ({"stream_options": {"include_usage": True}}, "stream_options"),
    ({"stream": "yes"}, "stream"),
    ({"tools": [TOOL] * 129}, "tools"),
    ({"tools": [{"type": "custom", "custom": {"name": "c"}}]}, "tools[0].type"),
    ({"tools": [{"type": "function"}]}, "tools[0].function"),
    ({"tools": [{"type": "function", "function": {"name": ""}}]}, "tools[0].function.name"),
    ({"tools": [{"type": "function", "function": {"name": "f", "parameters": {"d": "x" * 65537}}}]},
     "tools[0].function.parameters"),
    ({"tool_choice": "required"}, "tool_choice"),
    ({"tools": [TOOL], "tool_choice": "sometimes"}, "tool_choice"),
    ({"tools": [TOOL], "tool_choice": {"type": "function"}}, "tool_choice"),
    ({"tools": [TOOL], "tool_choice": {"type": "custom"}}, "tool_choice"),
    ({"tools": [TOOL], "tool_choice": {"type": "function", "function": {"name": "g"}}}, "tool_choice.function.name"),
    ({"response_format": {"type": "xml"}}, "response_format.type"),
    ({"response_format": {"type": "json_schema"}}, "response_format.json_schema"),
    ({"response_format": {"type": "structural_tag"}}, "response_format.type"),
    ({"response_format": {"type": "json_schema", "json_schema": {"name": "n", "schema": {"d": "x" * 65537}}}},
     "response_format.json_schema.schema"),
    ({"guided_json": "{"}, "guided_json"),
    ({"guided_regex": "a" * 4097}, "guided_regex"),
    ({"guided_choice": []}, "guided_choice"),
    ({"guided_choice": ["a"], "guided_regex": "a"}, "guided_choice"),
    ({"reasoning_effort": "huge"}, "reasoning_effort"),
    ({"keep_alive": "soon"}, "keep_alive"),
    ({"chat_template_kwargs": {"messages": "x"}}, "chat_template_kwargs"),
    ({"chat_template_kwargs": {"enable_thinking": {"a": 1}}}, "chat_template_kwargs[...]"),
    ({"modalities": ["audio"]}, "modalities"),
    ({"functions": [{"name": "f"}]}, "functions"),
    ({"chat_template": "{{ x }}"}, "chat_template"),
    ({"prompt_logprobs": -1}, "prompt_logprobs"),
    ({"prompt_logprobs": 0}, "prompt_logprobs"),
    ({"continue_final_message": True}, "continue_final_message"),
    ({"continue_final_message": True, "add_generation_prompt": True}, "continue_final_message"),
]  # fmt: skip


@pytest.mark.parametrize(("body", "param"), REFUSED, ids=lambda value: str(value)[:60])
def test_refused_with_the_field_at_fault(body: dict[str, Any], param: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        ask(body)
    assert caught.value.param == param
    assert caught.value.status == 400
    assert "Struct" not in caught.value.message


COMPLETIONS_REFUSED: list[tuple[dict[str, Any], str]] = [
    ({}, "prompt"),
    ({"prompt": ""}, "prompt"),
    ({"prompt": []}, "prompt"),
    ({"prompt": [1, "a"]}, "prompt"),
    ({"prompt": ["a", 1]}, "prompt[1]"),
    ({"prompt": ["a", ""]}, "prompt[1]"),
    ({"prompt": [[]]}, "prompt[0]"),
    ({"prompt": [-1]}, "prompt[0]"),
    ({"prompt": [1.5]}, "prompt[0]"),
    ({"prompt": ["a"] * 129}, "prompt"),
    ({"prompt": ["a"] * 20, "n": 8}, "prompt"),
    ({"prompt": "a", "best_of": 21}, "best_of"),
    ({"prompt": "a", "n": 2, "best_of": 1}, "best_of"),
    ({"prompt": "a", "best_of": 2, "stream": True}, "best_of"),
    ({"prompt": "a", "logprobs": 21}, "logprobs"),
    ({"prompt": "a", "logprobs": -1}, "logprobs"),
    ({"prompt": "a", "max_tokens": -1}, "max_tokens"),
    ({"prompt": "a", "echo": True, "logprobs": 1}, "logprobs"),
]


@pytest.mark.parametrize(("body", "param"), COMPLETIONS_REFUSED, ids=lambda value: str(value)[:60])
def test_completions_refused_with_the_field_at_fault(body: dict[str, Any], param: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        complete(body)
    assert caught.value.param == param


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({"input": ""}, "input"),
        ({"input": []}, "input"),
        ({"input": ["a", ""]}, "input[1]"),
        ({"input": [1, "a"]}, "input"),
        ({"input": [1.5]}, "input[0]"),
        ({"input": {"a": 1}}, "input"),
        ({"input": ["a"] * 2049}, "input"),
        ({}, "input"),
        ({"input": "a", "encoding_format": "hex"}, "encoding_format"),
        ({"input": "a", "dimensions": 0}, "dimensions"),
    ],
    ids=lambda value: str(value)[:60],
)
def test_embeddings_refused_with_the_field_at_fault(body: dict[str, Any], param: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        embeddings(convert({"model": "m", **body}, EmbeddingRequest, strict=False), INFO, Settings())
    assert caught.value.param == param


def test_strict_refuses_what_nobody_knows() -> None:
    strict = Settings(strict=True)
    assert ask({"top_k": 5, "metadata": {"a": "b"}, "user": "u"}, strict).sampling.top_k == 5
    with pytest.raises(InvalidRequest, match="Unrecognized request argument supplied: frobnicate") as caught:
        ask({"frobnicate": 1}, strict)
    assert (caught.value.code, caught.value.param) == ("unknown_parameter", "frobnicate")


def test_what_cannot_be_done_says_so_rather_than_ignore_it() -> None:
    for field in ("bad_words", "allowed_token_ids", "documents", "audio"):
        with pytest.raises(UnsupportedFeature, match=field):
            ask({field: ["x"]})
        ask({field: []})


def test_a_prompt_that_cannot_fit_is_refused_before_it_is_tokenised() -> None:
    most = 8 * INFO.context_length
    ask({"messages": [{"role": "user", "content": "x" * most}]})
    complete({"prompt": [1] * INFO.context_length})
    for refused in (
        lambda: ask({"messages": [{"role": "user", "content": "x" * (most + 1)}]}),
        lambda: complete({"prompt": ["x", "x" * (most + 1)]}),
        lambda: complete({"prompt": [1] * (INFO.context_length + 1)}),
        lambda: embeddings(EmbeddingRequest(model="m", input=["x" * (most + 1)]), INFO, Settings()),
    ):
        with pytest.raises(ContextTooLong, match="maximum context length is 1024 tokens"):
            refused()
    cut = EmbeddingRequest(model="m", input="x" * (most + 1), truncate_prompt_tokens=-1)
    assert embeddings(cut, INFO, Settings()).truncate is True


def test_what_the_model_cannot_do_is_refused_by_name() -> None:
    plain = replace(INFO, capabilities=frozenset({"completion", "chat"}))
    for body, param in (
        ({"tools": [TOOL]}, "tools"),
        ({"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": PNG}]}]}, "messages"),
    ):
        with pytest.raises(UnsupportedFeature, match="'m' does not support") as caught:
            ask(body, info=plain)
        assert caught.value.param == param
    assert ask({"tools": [TOOL], "tool_choice": "none"}, info=plain).tool_choice == NoTool()
    with pytest.raises(UnsupportedFeature, match="does not generate text"):
        ask({}, info=replace(INFO, capabilities=frozenset({"embedding"})))
    unknown = replace(INFO, capabilities=frozenset({"completion"}), context_length=0)
    assert ask({"tools": [TOOL]}, info=unknown).tools

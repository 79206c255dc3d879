"""Requests that cannot be done as written are refused with the field at fault, before anything is queued."""

from __future__ import annotations

import math
from typing import Any

import pytest
from msgspec.structs import replace

from hyperllama.errors import ContextTooLong, InvalidRequest, UnsupportedFeature
from hyperllama.generation import NoTool
from hyperllama.web import BodyReader
from hyperllama_openai.decode.embeddings import embeddings
from hyperllama_openai.errors import BodyRefusals
from hyperllama_openai.settings import Settings
from hyperllama_openai.wire.embeddings import EmbeddingRequest
from tests.support.asking_openai import INFO, PNG, TOOL, ask, complete

convert = BodyReader(BodyRefusals()).convert

DEEP = '{"a":' + "[" * 64 + "]" * 64 + "}"

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
    ({"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": PNG}] * 101}]}, "messages"),
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
    ({"logit_bias": {"1": 101}}, "logit_bias"),
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
    ({"tools": [TOOL] * 4097}, "tools"),
    ({"tools": [{"type": "retrieval"}]}, "tools[0].type"),
    ({"tools": [{"type": "custom"}]}, "tools[0].custom"),
    ({"tools": [{"type": "custom", "custom": {"name": ""}}]}, "tools[0].custom.name"),
    ({"tools": [{"type": "custom", "custom": {"name": "c", "format": {"type": "json"}}}]},
     "tools[0].custom.format.type"),
    ({"tools": [{"type": "custom", "custom": {"name": "c", "format": {"type": "grammar"}}}]}, "tools[0].custom.format"),
    ({"tools": [{"type": "function"}]}, "tools[0].function"),
    ({"tools": [{"type": "function", "function": {"name": ""}}]}, "tools[0].function.name"),
    ({"tools": [{"type": "function", "function": {"name": "f", "parameters": {"d": "x" * 65537}}}]},
     "tools[0].function.parameters"),
    ({"tool_choice": "required"}, "tool_choice"),
    ({"tools": [TOOL], "tool_choice": "sometimes"}, "tool_choice"),
    ({"tools": [TOOL], "tool_choice": {"type": "function"}}, "tool_choice"),
    ({"tools": [TOOL], "tool_choice": {"type": "custom"}}, "tool_choice"),
    ({"tools": [TOOL], "tool_choice": {"type": "custom", "custom": {"name": "f"}}}, "tool_choice.custom.name"),
    ({"tools": [TOOL], "tool_choice": {"type": "function", "function": {"name": "g"}}}, "tool_choice.function.name"),
    ({"response_format": {"type": "xml"}}, "response_format.type"),
    ({"response_format": {"type": "json_schema"}}, "response_format.json_schema"),
    ({"response_format": {"type": "structural_tag"}}, "response_format.type"),
    ({"response_format": {"type": "json_schema", "json_schema": {"name": "n", "schema": {"d": "x" * 65537}}}},
     "response_format.json_schema.schema"),
    ({"guided_json": "{"}, "guided_json"),
    ({"guided_json": DEEP}, "guided_json"),
    ({"structured_outputs": {"json": DEEP}}, "structured_outputs.json"),
    ({"guided_regex": "a" * 4097}, "guided_regex"),
    ({"guided_choice": []}, "guided_choice"),
    ({"guided_choice": ["a"], "guided_regex": "a"}, "guided_choice"),
    ({"reasoning_effort": "huge"}, "reasoning_effort"),
    ({"keep_alive": "soon"}, "keep_alive"),
    ({"chat_template_kwargs": {"messages": "x"}}, "chat_template_kwargs"),
    ({"chat_template_kwargs": {"enable_thinking": {"a": 1}}}, "chat_template_kwargs"),
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
    ({"prompt": [1], "suffix": "z"}, "suffix"),
    ({"prompt": ["a", [1]], "suffix": "z"}, "suffix"),
    ({"prompt": "a", "suffix": "z", "echo": True}, "suffix"),
    ({"prompt": "a", "best_of": 21}, "best_of"),
    ({"prompt": "a", "n": 2, "best_of": 1}, "best_of"),
    ({"prompt": "a", "best_of": 2, "stream": True}, "best_of"),
    ({"prompt": "a", "logprobs": 21}, "logprobs"),
    ({"prompt": "a", "logprobs": -1}, "logprobs"),
    ({"prompt": "a", "max_tokens": -1}, "max_tokens"),
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
        ({"input": "a", "truncate_prompt_tokens": 5}, "truncate_prompt_tokens"),
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
    for limit in (-1, INFO.context_length):
        cut = EmbeddingRequest(model="m", input="x" * (most + 1), truncate_prompt_tokens=limit)
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

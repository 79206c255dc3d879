"""Which transforms a request gets, and what they do together."""

from __future__ import annotations

import pytest

from hyperllama.errors import ConfigError
from hyperllama.generation import GenerationRequest, Sampling, ToolSpec
from hyperllama.messages import Chat, Message, Text
from hyperllama.models import ModelInfo, ModelSpec
from hyperllama.testing.chunks import chunks, run
from hyperllama.text.chain import check, compose, parsers, reasoning_of, tools_of
from hyperllama.text.stops import StopStrings

SPEC = ModelSpec(name="m")


def info(template: str = "", family: str = "") -> ModelInfo:
    return ModelInfo(
        name="m", engine="e", capabilities=frozenset(), context_length=10, template=template, family=family
    )


def request(*, stop: tuple[str, ...] = (), tools: bool = False) -> GenerationRequest:
    return GenerationRequest(
        model="m",
        input=Chat((Message(role="user", parts=(Text("hi"),)),)),
        sampling=Sampling(stop=stop),
        tools=(ToolSpec("add"),) if tools else (),
    )


def test_a_plain_request_passes_nothing() -> None:
    assert compose(request(), info(), SPEC, parsers()) is None


def test_stop_strings_alone_are_not_wrapped() -> None:
    assert isinstance(compose(request(stop=("x",)), info(), SPEC, parsers()), StopStrings)


def test_all_three_at_once_work_on_what_the_one_before_left() -> None:
    transform = compose(request(stop=("END",), tools=True), info("<think> <tool_call>"), SPEC, parsers())
    text = '<think>END is near</think>So: <tool_call>{"name": "add", "arguments": {"a": "END"}}</tool_call>ok END no'
    result = run(transform, chunks(list(text)))
    assert result.reasoning == "END is near"
    assert [(call.name, call.arguments) for call in result.tool_calls] == [("add", '{"a": "END"}')]
    assert (result.text, result.stop_match, result.finish_reason) == ("So: ok ", "END", "tool_calls")


@pytest.mark.parametrize(
    ("template", "family", "tools", "reasoning"),
    [
        ("", "", "json", "engine"),
        ("", "qwen2", "hermes", "engine"),
        ("", "llama", "llama", "engine"),
        ("", "mistral", "mistral", "engine"),
        ("x <tool_call> <think>", "llama", "hermes", "think"),
        ("[TOOL_CALLS] [THINK]", "llama", "mistral", "magistral"),
        ('{"name": ..., "parameters": ...}', "own", "llama", "engine"),
        ("no tools here", "llama", "json", "engine"),
        ("<seed:think>", "", "json", "seed"),
    ],
)
def test_parsers_are_chosen_by_template_then_family(template: str, family: str, tools: str, reasoning: str) -> None:
    assert (tools_of(info(template, family)), reasoning_of(info(template, family))) == (tools, reasoning)


def test_the_models_table_has_the_last_word() -> None:
    spec = ModelSpec(name="m", tool_parser="engine", reasoning_parser="thinking")
    transform = compose(request(tools=True), info("<think>"), spec, parsers())
    result = run(transform, chunks(['<thinking>hm</thinking><tool_call>{"name": "add"}</tool_call>']))
    assert (result.reasoning, result.text) == ("hm", '<tool_call>{"name": "add"}</tool_call>')


def test_a_strangers_parser_is_used_by_its_name() -> None:
    spec = ModelSpec(name="m", tool_parser="mine")
    made = StopStrings(["!"])
    assert compose(request(tools=True), info(), spec, {"mine": lambda _request, _info: made}) is made


def test_a_parser_that_nobody_offers_is_refused_with_the_nearest_name() -> None:
    check([SPEC, ModelSpec(name="ok", tool_parser="hermes", reasoning_parser="engine")], parsers())
    with pytest.raises(
        ConfigError, match=r"models\.bad\.tool_parser: There is no parser 'hermse'\. Did you mean 'hermes'"
    ):
        check([ModelSpec(name="bad", tool_parser="hermse")], parsers())
    with pytest.raises(ConfigError, match=r"models\.bad\.reasoning_parser: .*must be one of engine, "):
        check([ModelSpec(name="bad", reasoning_parser="zzzzz")], parsers())

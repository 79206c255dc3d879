"""Tool calls in text: found in every dialect, given back where they are none."""

from __future__ import annotations

import json
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hyperllama.generation import Completion, GenerationRequest, NoTool, TokenChunk, ToolCallDelta, ToolSpec, Usage
from hyperllama.messages import Prompt
from hyperllama.models import ModelInfo
from hyperllama.testing.chunks import chunks, cut, run
from hyperllama.text.formats import formats
from hyperllama.text.tools import ToolCalls, tool_calls

NAMES = frozenset({"get_weather", "add"})
INFO = ModelInfo(name="m", engine="e", capabilities=frozenset(), context_length=10)
CUTS = st.lists(st.integers(0, 400), max_size=40)
quick = settings(database=None, deadline=None, max_examples=150)


def parser(name: str, *, parallel: bool = True, logprobs: bool = False) -> ToolCalls:
    return ToolCalls(formats()[name], known=NAMES, parallel=parallel, logprobs=logprobs)


def calls(result: Completion) -> list[tuple[str, object]]:
    return [(call.name, json.loads(call.arguments)) for call in result.tool_calls]


HERMES = '<tool_call>\n{"name": "add", "arguments": {"a": 1, "b": [2, "}"]}}\n</tool_call>'
ADD = ("add", {"a": 1, "b": [2, "}"]})


@pytest.mark.parametrize(
    ("format", "text", "shown", "found"),
    [
        ("hermes", HERMES, "", [ADD]),
        ("hermes", f"Let me see.\n{HERMES}\n{HERMES}", "Let me see.\n", [ADD, ADD]),
        ("hermes", f"{HERMES}\nDone.", "Done.", [ADD]),
        ("hermes", '<tool_call>{"name": "other", "arguments": {}}', "", [("other", {})]),  # never closed, still a call
        ("hermes", '<tool_call>{"name": "f", "arguments": "{\\"a\\": 1}"}</tool_call>', "", [("f", {"a": 1})]),
        ("hermes", '<tool_call>{"name": "f"}</tool_call>', "", [("f", {})]),
        ("hermes", '<tool_call>{"name": "f", "arguments": null}</tool_call>', "", [("f", {})]),
        ("hermes", '<tool_call>{"name": "f", "arguments": {"t": "two\nlines"}}', "", [("f", {"t": "two\nlines"})]),
        ("hermes", '<tool_call>{"name": "f", "arguments": {"t": "</tool_call>"}}', "", [("f", {"t": "</tool_call>"})]),
        ("llama", '{"name": "add", "parameters": {"a": 1}}', "", [("add", {"a": 1})]),
        ("llama", '\n<|python_tag|>{"name": "add", "parameters": {}}<|eom_id|>', "", [("add", {})]),
        (
            "llama",
            '{"name": "add", "parameters": {}}; {"name": "get_weather", "parameters": {}}',
            "",
            [("add", {}), ("get_weather", {})],
        ),
        ("llama", '{"name": "add", "parameters": {}}\n{"name": "add", "parameters": {}}', "", [("add", {})] * 2),
        ("llama", '{"type": "function", "function": "add", "parameters": {"a": 1}}', "", [("add", {"a": 1})]),
        ("mistral", '[TOOL_CALLS] [{"name": "add", "arguments": {"a": 1}}]', "", [("add", {"a": 1})]),
        ("mistral", '[TOOL_CALLS]add{"a": 1}[TOOL_CALLS]add{"a": 2}', "", [("add", {"a": 1}), ("add", {"a": 2})]),
        ("mistral", '[TOOL_CALLS]add[CALL_ID]abc123def[ARGS]{"a": 1}', "", [("add", {"a": 1})]),
        ("mistral", 'So:[TOOL_CALLS]add[ARGS] {"a": 1}', "So:", [("add", {"a": 1})]),
        ("json", '```json\n{"name": "add", "arguments": {"a": 1}}\n```', "", [("add", {"a": 1})]),
        ("json", '[{"name": "add", "arguments": {}}, {"name": "add"}]', "", [("add", {})] * 2),
        ("json", '{"function": {"name": "add", "arguments": {}}}', "", [("add", {})]),
        ("json", HERMES, "", [ADD]),
    ],
)
def test_calls_are_found(format: str, text: str, shown: str, found: list[tuple[str, object]]) -> None:
    for pieces in ([text], list(text), [text[at : at + 3] for at in range(0, len(text), 3)]):
        result = run(parser(format), chunks(pieces))
        assert calls(result) == found
        assert result.text == shown
        assert result.finish_reason == "tool_calls"
        assert [re.fullmatch(r"call_[0-9a-f]{24}", call.id) is not None for call in result.tool_calls] == [True] * len(
            found
        )


@pytest.mark.parametrize(
    ("format", "text"),
    [
        ("hermes", "no call at all"),
        ("hermes", "<tool_call>not json</tool_call> and on"),
        ("hermes", '<tool_call>{"name": "add", "arguments": {"a": 1}</tool_call> and on'),  # a brace is missing
        ("hermes", '<tool_call>{"name": "add", "argum'),
        ("hermes", '<tool_call>{"name": 3, "arguments": {}}</tool_call>'),
        ("hermes", '<tool_call>{"name": "add", "arguments": [1]}</tool_call>'),
        ("hermes", '<tool_call>{"name": "add", "arguments": {"a": NaN}}</tool_call>'),
        ("hermes", "<tool_call"),
        ("hermes", "<tool_call>"),
        ("hermes", "<tool_call>   "),
        ("hermes", "\n <tool_call>not json"),
        ("llama", '{"answer": 42}'),
        ("llama", '{"name": "stranger", "parameters": {}}'),
        ("llama", '{"name": "add", "parameters": {"a'),
        ("llama", '<|python_tag|>print("hello")'),
        ("llama", 'text, then {"name": "add", "parameters": {}}'),
        ("mistral", "[TOOL_CALLS]add(1, 2)"),
        ("mistral", "[TOOL_CALLS]" + "x" * 1000 + "{}"),
        ("json", '```json\n{"name": "Bob", "age": 3}\n```'),
        ("json", "[1, 2, 3]"),
        ("json", '{"a": ' * 5000),
    ],
)
def test_what_is_no_call_is_given_back_as_it_was(format: str, text: str) -> None:
    for pieces in ([text], list(text)):
        result = run(parser(format), chunks(pieces, finish_reason="stop"))
        assert (result.text, result.tool_calls, result.finish_reason) == (text, (), "stop")


def test_a_call_after_a_broken_one_is_still_found() -> None:
    text = f'<tool_call>{{"name": oops {HERMES}'
    result = run(parser("hermes"), chunks(list(text)))
    assert (result.text, calls(result)) == ('<tool_call>{"name": oops ', [ADD])


def test_a_call_cut_off_by_the_limit_is_text_and_the_reason_stays_length() -> None:
    text = HERMES + '<tool_call>{"name": "add"'
    result = run(parser("hermes"), chunks(list(text), finish_reason="length"))
    assert (calls(result), result.text, result.finish_reason) == ([ADD], '<tool_call>{"name": "add"', "length")


def test_text_before_a_call_flows_while_it_is_made() -> None:
    transform = parser("hermes")
    assert [transform.feed(TokenChunk(text=text)).text for text in ("One ", "moment", "<tool", "box>")] == [
        "One ",
        "moment",
        "",
        "<toolbox>",
    ]


def test_calls_are_numbered_without_gaps_and_named_on_their_first_delta() -> None:
    text = HERMES + "<tool_call>broken</tool_call>" + HERMES
    deltas = [
        delta for chunk in chunks(list(text)) for transform in (STREAM,) for delta in transform.feed(chunk).tool_calls
    ]
    assert [(delta.index, delta.name, delta.id is not None) for delta in deltas] == [(0, "add", True), (1, "add", True)]


STREAM = parser("hermes")


def test_only_the_first_call_is_passed_on_where_one_is_allowed() -> None:
    result = run(parser("json", parallel=False), chunks(list(HERMES + HERMES)))
    assert (calls(result), result.text) == ([ADD], "")


def test_an_engine_that_finds_calls_itself_is_left_alone() -> None:
    transform = parser("json")
    call = TokenChunk(tool_calls=(ToolCallDelta(0, "{}", "call_x", "add"),))
    assert transform.feed(call) is call
    said = TokenChunk(text='{"name": "add"}', finish_reason="tool_calls", usage=Usage(1, 2))
    assert transform.feed(said) is said


def test_no_parser_without_tools_or_where_calling_is_forbidden() -> None:
    make = tool_calls(formats()["json"])
    assert make(GenerationRequest(model="m", input=Prompt("p")), INFO) is None
    tools = (ToolSpec("add"),)
    assert make(GenerationRequest(model="m", input=Prompt("p"), tools=tools, tool_choice=NoTool()), INFO) is None
    assert make(GenerationRequest(model="m", input=Prompt("p"), tools=tools), INFO) is not None


PIECES = st.sampled_from(
    [
        *(HERMES, "<tool_call>", "</tool_call>", "[TOOL_CALLS]", "[ARGS]", "<|python_tag|>", "```json", "```"),
        *("add", "text", '{"name": "add", "parameters": {}}', '{"a": "<tool_call>"}'),
        *("{", "}", "[", "]", '"', "\\", " ", "\n", ";", ",", "<"),
    ]
)
TEXTS = st.lists(PIECES, max_size=12).map("".join)


@settings(quick, max_examples=400)
@given(st.sampled_from(sorted(formats())), TEXTS, CUTS)
def test_any_chunking_gives_what_the_whole_text_gives(format: str, text: str, cuts: list[int]) -> None:
    whole = run(parser(format), chunks([text]))
    result = run(parser(format), chunks(cut(text, cuts)))
    assert calls(result) == calls(whole)
    assert result.text == whole.text
    assert result.finish_reason == whole.finish_reason


@settings(quick, max_examples=200)
@given(st.sampled_from(sorted(formats())), TEXTS, CUTS)
def test_text_without_a_call_comes_out_as_it_went_in(format: str, text: str, cuts: list[int]) -> None:
    result = run(parser(format), chunks(cut(text, cuts)))
    if not result.tool_calls:
        assert result.text == text
    else:  # what is left has no character that was not there, in the same order
        left = iter(text)
        assert all(character in left for character in result.text)


@settings(quick, max_examples=150)
@given(st.sampled_from(sorted(formats())), TEXTS)
def test_log_probabilities_are_those_of_the_text_that_is_left(format: str, text: str) -> None:
    result = run(parser(format, logprobs=True), chunks(list(text) or [""], logprobs=True))
    assert "".join(item.token for item in result.logprobs) == result.text


LEAVES = st.none() | st.booleans() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=8)
VALUES = st.recursive(
    LEAVES, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner), max_leaves=8
)


@quick
@given(st.dictionaries(st.text(max_size=5), VALUES, max_size=4), CUTS)
def test_arguments_come_out_as_the_value_that_went_in(arguments: dict[str, object], cuts: list[int]) -> None:
    text = f"<tool_call>{json.dumps({'name': 'add', 'arguments': arguments})}</tool_call>"
    assert calls(run(parser("hermes"), chunks(cut(text, cuts)))) == [("add", arguments)]

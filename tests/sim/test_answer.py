"""What the sim model says, and that it keeps to what was asked."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from hyperllama.errors import ContextTooLong, InvalidRequest
from hyperllama.generation import (
    AnyJson,
    AnyTool,
    Choice,
    Completion,
    GenerationRequest,
    JsonSchema,
    NamedTool,
    NoTool,
    Regex,
    Sampling,
    ToolSpec,
)
from hyperllama.messages import Chat, Message, Prompt, PromptTokens, Text
from hyperllama.stream import collect
from hyperllama_sim import tokens
from hyperllama_sim.model import SimModel

Load = Callable[..., Awaitable[SimModel]]
WEATHER = ToolSpec(
    "get_weather",
    parameters={"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
)


def said(role: str, text: str) -> Message:
    return Message(role=role, parts=(Text(text),))  # type: ignore[arg-type]


def chat(text: str = "hello", /, **fields: Any) -> GenerationRequest:
    return GenerationRequest(model="m", input=Chat((said("user", text),)), **fields)


async def ask(model: SimModel, request: GenerationRequest) -> Completion:
    return await collect(await model.generate(request))


async def test_the_same_prompt_gets_the_same_answer_and_another_another(load: Load) -> None:
    model = await load()
    first, again, other = [await ask(model, chat(text)) for text in ("one", "one", "two")]
    assert first.text == again.text
    assert first.text != other.text


async def test_a_seed_counts_unless_the_temperature_is_zero(load: Load) -> None:
    model = await load()
    seeds = [await ask(model, chat(sampling=Sampling(seed=seed, temperature=1.0))) for seed in (1, 1, 2)]
    greedy = [await ask(model, chat(sampling=Sampling(seed=seed, temperature=0))) for seed in (1, 2)]
    assert seeds[0].text == seeds[1].text != seeds[2].text
    assert greedy[0].text == greedy[1].text


async def test_usage_is_what_the_tokenizer_counts(load: Load) -> None:
    result = await ask(await load(), GenerationRequest(model="m", input=Prompt("count these words")))
    assert result.usage.prompt_tokens == len(tokens.encode("count these words"))
    assert result.usage.completion_tokens == len(tokens.encode(result.text)) == 32
    assert result.finish_reason == "stop"


@pytest.mark.parametrize("limit", [1, 5, 31, 32])
async def test_the_limit_is_kept_and_said(load: Load, limit: int) -> None:
    result = await ask(await load(), chat(sampling=Sampling(max_tokens=limit)))
    assert result.usage.completion_tokens == limit
    assert result.finish_reason == ("length" if limit < 32 else "stop")


async def test_no_token_where_none_was_asked_for(load: Load) -> None:
    result = await ask(await load(), chat(sampling=Sampling(max_tokens=0)))
    assert (result.text, result.usage.completion_tokens, result.finish_reason) == ("", 0, "length")


async def test_the_configured_limit_holds_where_the_request_has_none(load: Load) -> None:
    result = await ask(await load(max_tokens=4), chat())
    assert (result.usage.completion_tokens, result.finish_reason) == (4, "length")


async def test_an_answer_ends_where_the_context_is_full(load: Load) -> None:
    model = await load(context_length=20)
    result = await ask(model, chat(sampling=Sampling(ignore_eos=True)))
    assert result.usage.total_tokens == 20
    assert result.finish_reason == "length"


@pytest.mark.parametrize("text", ["a b c d e f g h i j k", "x" * 100_000])
async def test_a_prompt_over_the_context_is_refused_with_both_counts(load: Load, text: str) -> None:
    with pytest.raises(ContextTooLong, match=r"\d+ tokens and the context holds 10"):
        await (await load(context_length=10)).generate(GenerationRequest(model="m", input=Prompt(text)))


async def test_the_callers_own_context_counts_too(load: Load) -> None:
    with pytest.raises(ContextTooLong, match="the context holds 4"):
        await (await load()).generate(chat(context_length=4))


async def test_min_tokens_and_ignore_eos_go_beyond_the_natural_end(load: Load) -> None:
    model = await load(text="short")
    least = await ask(model, chat(sampling=Sampling(min_tokens=10)))
    on = await ask(model, chat(sampling=Sampling(ignore_eos=True, max_tokens=50)))
    assert (least.usage.completion_tokens, least.finish_reason) == (10, "stop")
    assert (on.usage.completion_tokens, on.finish_reason) == (50, "length")
    assert on.text.startswith("short")


async def test_a_stop_token_ends_the_answer_and_is_not_shown(load: Load) -> None:
    model = await load(text="one two three")
    stop = tokens.token_id(" two")
    result = await ask(model, chat(sampling=Sampling(stop_token_ids=(stop,)), return_token_ids=True))
    assert (result.text, result.finish_reason, result.token_ids[-1]) == ("one", "stop", stop)


async def test_token_ids_and_log_probabilities_belong_to_the_text(load: Load) -> None:
    prompt = PromptTokens(tokens.encode("a prompt"))
    request = GenerationRequest(
        model="m", input=prompt, sampling=Sampling(logprobs=3, max_tokens=6), return_token_ids=True
    )
    result = await ask(await load(), request)
    assert tokens.decode(result.token_ids) == result.text == "".join(item.token for item in result.logprobs)
    assert result.prompt_token_ids == prompt.ids
    assert all(len(item.top) == 3 and item.top[0].token == item.token for item in result.logprobs)
    assert all(item.logprob == max(top.logprob for top in item.top) < 0 for item in result.logprobs)


async def test_a_prompt_of_foreign_tokens_is_refused(load: Load) -> None:
    with pytest.raises(InvalidRequest, match="outside the vocabulary"):
        await (await load()).generate(GenerationRequest(model="m", input=PromptTokens((-3,))))


async def test_figures_of_the_prompt_come_with_the_first_chunk(load: Load) -> None:
    stream = await (await load()).generate(chat())
    first = await anext(stream)
    await stream.aclose()
    assert first.usage is not None
    assert first.usage.prompt_tokens > 0
    assert first.usage.completion_tokens == 0


async def test_echo_gives_the_last_user_message_back(load: Load) -> None:
    request = GenerationRequest(model="m", input=Chat((said("user", "one"), said("assistant", "two"))))
    assert (await ask(await load(echo=True), request)).text == "one"


async def test_reasoning_comes_first_when_asked_for(load: Load) -> None:
    model = await load(reasoning_tokens=5)
    result = await ask(model, chat(reasoning=True))
    assert result.reasoning
    assert result.text
    assert result.usage.reasoning_tokens == 5
    assert (await ask(model, chat())).reasoning == ""
    thinking = await load(thinking=True)
    assert (await ask(thinking, chat())).reasoning
    assert (await ask(thinking, chat(reasoning=False))).reasoning == ""


@pytest.mark.parametrize(
    ("text", "choice", "called"),
    [
        ("what does get_weather say?", None, True),
        ("what is the weather?", None, False),
        ("what is the weather?", AnyTool(), True),
        ("what is the weather?", NamedTool("get_weather"), True),
        ("what does get_weather say?", NoTool(), False),
    ],
)
async def test_tools_are_called_when_asked_for(load: Load, text: str, choice: Any, called: bool) -> None:
    result = await ask(await load(), chat(text, tools=(WEATHER,), tool_choice=choice))
    assert [call.name for call in result.tool_calls] == (["get_weather"] if called else [])
    assert result.finish_reason == ("tool_calls" if called else "stop")
    assert all(json.loads(call.arguments)["city"] for call in result.tool_calls)


async def test_a_tools_result_is_answered_in_words(load: Load) -> None:
    messages = (said("user", "get_weather"), said("tool", "get_weather says 20"))
    result = await ask(await load(), GenerationRequest(model="m", input=Chat(messages), tools=(WEATHER,)))
    assert result.text
    assert not result.tool_calls


async def test_a_script_has_the_first_word(load: Load) -> None:
    script = [
        {"when": "twice", "tool_calls": [{"name": "f", "arguments": {"n": 1}}, {"name": "g", "arguments": "{}"}]},
        {"when": "think", "reasoning": "hm", "text": "yes"},
        {"text": "anything else"},
    ]
    model = await load(script=script)
    twice = await ask(model, chat("twice", tools=(ToolSpec("f"), ToolSpec("g"))))
    assert [(call.name, call.arguments) for call in twice.tool_calls] == [("f", '{"n":1}'), ("g", "{}")]
    assert (await ask(model, chat("twice"))).text == "anything else"  # no tools were offered
    think = await ask(model, chat("think"))
    assert (think.reasoning, think.text) == ("hm", "yes")


SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {
        "name": {"type": "string", "minLength": 12},
        "age": {"type": "integer", "minimum": 18, "maximum": 20},
        "ratio": {"type": "number", "exclusiveMinimum": 0},
        "tags": {"type": "array", "items": {"enum": ["red", "blue"]}, "minItems": 2},
        "kind": {"const": "thing"},
        "next": {"anyOf": [{"type": "null"}, {"$ref": "#"}]},
        "where": {"$ref": "#/$defs/place"},
    },
    "required": ["name", "age", "ratio", "tags", "kind", "next", "where"],
    "$defs": {"place": {"type": "object", "properties": {"x": {"type": "boolean"}}, "required": ["x"]}},
}


async def test_answers_follow_the_format_that_was_asked_for(load: Load) -> None:
    model = await load()
    assert isinstance(json.loads((await ask(model, chat(output=AnyJson()))).text), dict)
    assert (await ask(model, chat(output=Choice(("yes", "no"))))).text in {"yes", "no"}
    value = json.loads((await ask(model, chat(output=JsonSchema(SCHEMA)))).text)
    assert len(value["name"]) >= 12
    assert 18 <= value["age"] <= 20
    assert value["ratio"] > 0
    assert value["tags"] == ["red", "red"]
    assert (value["kind"], value["next"], value["where"]) == ("thing", None, {"x": True})


@pytest.mark.parametrize(
    "output",
    [
        Regex("a+"),
        JsonSchema({"type": "string", "pattern": "^(?=a)b$"}, strict=True),
        JsonSchema({"$ref": "#/nowhere"}, strict=True),
        JsonSchema({"type": "array", "items": {"$ref": "#"}, "minItems": 1}),
    ],
)
async def test_a_format_it_cannot_follow_is_refused_up_front(load: Load, output: Any) -> None:
    with pytest.raises(InvalidRequest):
        await (await load()).generate(chat(output=output))

"""What the built-in model lacks and other models have, on MAX's real worker: filling in, thinking, calls as Hermes."""

from __future__ import annotations

import pytest

from hyperllama.generation import GenerationRequest, NamedTool, Regex, Sampling, ToolSpec
from hyperllama.messages import Prompt
from hyperllama.models import ModelSpec
from hyperllama.text.chain import compose, parsers
from tests.support.asking_max import talk, whole


async def seen(model, request) -> str:
    """The prompt as the model sees it."""
    return await model.detokenize((await whole(model, request)).prompt_token_ids)


async def test_a_suffix_is_put_behind_and_the_middle_asked_for(dressed):
    assert "insert" in dressed.info.capabilities
    request = GenerationRequest(
        model="m", input=Prompt("def f(", suffix="):"), sampling=Sampling(max_tokens=2), return_token_ids=True
    )
    assert await seen(dressed, request) == "<|fim_prefix|>def f(<|fim_suffix|>):<|fim_middle|>"


async def test_special_token_text_around_the_middle_means_nothing(dressed):
    request = GenerationRequest(
        model="m", input=Prompt("a<|fim_suffix|>", suffix="b"), sampling=Sampling(max_tokens=1), return_token_ids=True
    )
    *_, mark = await dressed.tokenize(Prompt("<|fim_suffix|>"))
    assert (await whole(dressed, request)).prompt_token_ids.count(mark) == 1


@pytest.mark.parametrize(
    ("reasoning", "end"),
    [(None, "<|assistant|>"), (True, "<|assistant|>"), (False, "<think></think>"), ("high", "<|assistant|>high")],
)
async def test_thinking_is_switched_in_the_template(dressed, reasoning, end):
    assert "thinking" in dressed.info.capabilities
    assert (await seen(dressed, talk("hi", 1, reasoning=reasoning))).endswith(end)


async def test_thoughts_are_split_from_the_answer(dressed):
    request = talk("hi", 60, reasoning=True, output=Regex("<think>[a-z]{4}</think>[0-9]{3}"), temperature=1.0, seed=3)
    transform = compose(request, dressed.info, ModelSpec(name="m"), parsers())
    assert transform is not None
    stream = await dressed.generate(request)
    chunks = [transform.feed(chunk) async for chunk in stream]
    await stream.aclose()
    thought, text = "".join(chunk.reasoning for chunk in chunks), "".join(chunk.text for chunk in chunks)
    assert (len(thought.strip()), thought.strip().isalpha()) == (4, True)
    assert (len(text.strip()), text.strip().isdigit()) == (3, True)


async def test_a_forced_call_is_written_as_the_template_shows_calls(dressed):
    tool = ToolSpec("now", "the time", {"type": "object", "properties": {}, "additionalProperties": False})
    answer = await whole(dressed, talk("?", 60, tools=(tool,), tool_choice=NamedTool("now")))
    (call,) = answer.tool_calls
    assert (call.name, call.arguments) == ("now", "{}")
    assert answer.finish_reason == "tool_calls"


async def test_a_call_the_model_writes_is_read_by_the_cores_parser(dressed):
    tool = ToolSpec("now", "the time", {"type": "object"})
    written = '<tool_call>\\n\\{"name": "now", "arguments": \\{"zone": "[a-z]{3}"\\}\\}\\n</tool_call>'
    request = talk("?", 90, tools=(tool,), output=Regex(written), temperature=1.0, seed=2)
    transform = compose(request, dressed.info, ModelSpec(name="m"), parsers())
    assert transform is not None
    stream = await dressed.generate(request)
    chunks = [transform.feed(chunk) async for chunk in stream]
    await stream.aclose()
    deltas = [delta for chunk in chunks for delta in chunk.tool_calls]
    assert deltas[0].name == "now"
    assert '"zone"' in "".join(delta.arguments for delta in deltas)
    assert "".join(chunk.text for chunk in chunks).strip() == ""
    assert chunks[-1].finish_reason == "tool_calls"

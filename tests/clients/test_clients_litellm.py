"""The LiteLLM client, through every dialect of ours."""

from __future__ import annotations

import importlib
import importlib.util
import json
import math
from typing import Any

import pytest

MISSING = importlib.util.find_spec("litellm") is None
pytestmark = [
    pytest.mark.filterwarnings("ignore"),  # not ours: LiteLLM's own deprecations
    pytest.mark.skipif(
        importlib.util.find_spec("litellm") is None, reason="the [clients-openai2] extra is not installed"
    ),
]
DIALECTS = ("openai", "ollama_chat", "anthropic")


@pytest.fixture
def litellm(_quiet: None) -> Any:
    """Imported late: at import it decides whether to ask the network for a price list."""
    return importlib.import_module("litellm")


def ask(gateway: Any, dialect: str, **fields: Any) -> dict[str, Any]:
    base = gateway.v1 if "openai" in dialect else gateway.url
    said = [{"role": "user", "content": fields.pop("said", gateway.question)}]
    where = {"model": f"{dialect}/{gateway.chat}", "api_base": base, "api_key": "none", "num_retries": 0}
    return {**where, "messages": said, "temperature": 0, "max_tokens": 64, **fields}


def text_of(pieces: Any) -> str:
    return "".join(piece.choices[0].delta.content or "" for piece in pieces if piece.choices)


@pytest.mark.parametrize("dialect", DIALECTS)
def test_whole_and_streamed(litellm: Any, gateway: Any, dialect: str) -> None:
    whole = litellm.completion(**ask(gateway, dialect))
    assert whole.usage.completion_tokens > 0
    pieces = list(litellm.completion(**ask(gateway, dialect), stream=True, stream_options={"include_usage": True}))
    assert text_of(pieces) == whole.choices[0].message.content != ""
    assert pieces[-1].usage.completion_tokens == whole.usage.completion_tokens


@pytest.mark.parametrize("dialect", DIALECTS)
def test_a_tool_is_called(litellm: Any, gateway: Any, dialect: str) -> None:
    reply = litellm.completion(**ask(gateway, dialect, said=gateway.weather, tools=[gateway.tool]))
    (call,) = reply.choices[0].message.tool_calls
    assert (call.function.name, json.loads(call.function.arguments)) == ("get_weather", {"city": "Oslo"})


@pytest.mark.parametrize("dialect", ["openai", "ollama_chat"])
def test_a_schema_holds(litellm: Any, gateway: Any, dialect: str) -> None:
    reply = litellm.completion(**ask(gateway, dialect, said=gateway.extract, response_format=gateway.person))
    assert gateway.person.model_validate_json(reply.choices[0].message.content)


async def test_the_async_functions(litellm: Any, gateway: Any) -> None:
    whole = await litellm.acompletion(**ask(gateway, "openai"))
    pieces = [piece async for piece in await litellm.acompletion(**ask(gateway, "openai"), stream=True)]
    assert text_of(pieces) == whole.choices[0].message.content != ""


def test_completions_and_responses(litellm: Any, gateway: Any) -> None:
    where = {"api_base": gateway.v1, "api_key": "none", "temperature": 0}
    plain = {**where, "model": f"text-completion-openai/{gateway.chat}", "prompt": "The gateway", "max_tokens": 8}
    assert litellm.text_completion(**plain).choices[0].text
    asked = {**where, "model": f"openai/{gateway.chat}", "input": gateway.question, "max_output_tokens": 32}
    assert litellm.responses(**asked).output_text


@pytest.mark.parametrize("dialect", ["openai", "ollama"])
def test_embeddings(litellm: Any, gateway: Any, dialect: str) -> None:
    base = gateway.v1 if dialect == "openai" else gateway.url
    made = litellm.embedding(model=f"{dialect}/{gateway.embed}", api_base=base, api_key="none", input=["a", "b"])
    assert len(made.data) == 2
    assert math.hypot(*made.data[0]["embedding"]) == pytest.approx(1, abs=1e-3)


def test_refusals_are_known_for_what_they_are(litellm: Any, gateway: Any) -> None:
    with pytest.raises(litellm.ContextWindowExceededError):
        litellm.completion(**ask(gateway, "openai", said="word " * 20_000))
    with pytest.raises(litellm.NotFoundError):
        litellm.completion(**{**ask(gateway, "openai"), "model": "openai/nope"})

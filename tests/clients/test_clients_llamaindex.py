"""LlamaIndex: OpenAILike as a chat, as a completion, with tools and with typed answers."""

from __future__ import annotations

from typing import Any

import pytest

like = pytest.importorskip("llama_index.llms.openai_like", reason="the [clients-openai2] extra is not installed")
core = pytest.importorskip("llama_index.core.llms", reason="the [clients-openai2] extra is not installed")
tools = pytest.importorskip("llama_index.core.tools", reason="the [clients-openai2] extra is not installed")
pytestmark = pytest.mark.filterwarnings("ignore")  # not ours: LlamaIndex's own deprecations


def model(gateway: Any, **options: Any) -> Any:
    return like.OpenAILike(
        model=gateway.chat,
        api_base=gateway.v1,
        api_key="none",
        max_tokens=64,
        temperature=0,
        max_retries=0,
        timeout=600,
        context_window=1024,
        **options,
    )


def get_weather(city: str) -> str:
    """Get the weather in a city"""
    return f"sunny in {city}"


@pytest.mark.parametrize("chat", [True, False], ids=["chat", "completion"])
def test_complete_chat_and_stream(gateway: Any, chat: bool) -> None:
    found = model(gateway, is_chat_model=chat)
    asked = gateway.question if chat else "Once upon a time"  # without a template a small model may find nothing to say
    whole = found.complete(asked)
    assert whole.additional_kwargs["completion_tokens"] > 0
    assert [piece.text for piece in found.stream_complete(asked)][-1] == whole.text
    said = [core.ChatMessage(role="user", content=asked)]
    reply = found.chat(said)
    pieces = [piece.message.content for piece in found.stream_chat(said)]
    assert pieces[-1] == reply.message.content


async def test_the_async_methods(gateway: Any) -> None:
    found = model(gateway, is_chat_model=True)
    said = [core.ChatMessage(role="user", content=gateway.question)]
    whole = await found.achat(said)
    pieces = [piece.delta async for piece in await found.astream_chat(said)]
    assert "".join(pieces) == whole.message.content != ""
    assert (await found.acomplete(gateway.question)).text == whole.message.content


def test_a_tool_is_called(gateway: Any) -> None:
    found = model(gateway, is_chat_model=True, is_function_calling_model=True)
    tool = tools.FunctionTool.from_defaults(get_weather, description="Get the weather in a city")
    calls = found.get_tool_calls_from_response(found.chat_with_tools([tool], user_msg=gateway.weather))
    assert [(call.tool_name, call.tool_kwargs) for call in calls] == [("get_weather", {"city": "Oslo"})]
    assert found.predict_and_call([tool], user_msg=gateway.weather).response == "sunny in Oslo"
    forced = found.chat_with_tools([tool], user_msg="Hello", tool_required=True)
    assert [call.tool_name for call in found.get_tool_calls_from_response(forced)] == ["get_weather"]


@pytest.mark.parametrize("schema", [True, False], ids=["schema", "tool"])
def test_a_typed_answer(gateway: Any, schema: bool) -> None:
    options = {"should_use_structured_outputs": schema, "is_function_calling_model": True, "is_chat_model": True}
    typed = model(gateway, **options).as_structured_llm(gateway.person)
    assert isinstance(typed.complete(gateway.extract).raw, gateway.person)

"""LlamaIndex: OpenAILike."""

from __future__ import annotations

from typing import Any

import pytest

like = pytest.importorskip("llama_index.llms.openai_like", reason="the [clients] extra is not installed")
core = pytest.importorskip("llama_index.core.llms", reason="the [clients] extra is not installed")
pytestmark = pytest.mark.filterwarnings("ignore")  # not ours: LlamaIndex's own deprecations


@pytest.mark.parametrize("chat", [True, False], ids=["chat", "completion"])
def test_complete_chat_and_stream(gateway: Any, chat: bool) -> None:
    model = like.OpenAILike(
        model=gateway.chat,
        api_base=gateway.v1,
        api_key="none",
        is_chat_model=chat,
        max_tokens=16,
        temperature=0,
        max_retries=0,
        timeout=600,
        context_window=1024,
    )
    whole = model.complete("Hello")
    assert [piece.text for piece in model.stream_complete("Hello")][-1] == whole.text != ""
    said = [core.ChatMessage(role="user", content="Hello")]
    reply = model.chat(said)
    pieces = [piece.message.content for piece in model.stream_chat(said)]
    assert pieces[-1] == reply.message.content != ""

"""The LiteLLM client, through both of our older dialects."""

from __future__ import annotations

import importlib
import importlib.util
from typing import Any

import pytest

pytestmark = [
    pytest.mark.filterwarnings("ignore"),  # not ours: LiteLLM's own deprecations
    pytest.mark.skipif(importlib.util.find_spec("litellm") is None, reason="the [clients] extra is not installed"),
]
HI = [{"role": "user", "content": "Hello"}]


@pytest.fixture
def litellm(_quiet: None) -> Any:
    """Imported late: at import it decides whether to ask the network for a price list."""
    return importlib.import_module("litellm")


def test_openai_whole_and_streamed(litellm: Any, gateway: Any) -> None:
    options = {"model": f"openai/{gateway.chat}", "api_base": gateway.v1, "api_key": "none", "temperature": 0}
    whole = litellm.completion(**options, messages=HI, max_tokens=16)
    pieces = list(
        litellm.completion(**options, messages=HI, max_tokens=16, stream=True, stream_options={"include_usage": True})
    )
    text = "".join(piece.choices[0].delta.content or "" for piece in pieces if piece.choices)
    assert text == whole.choices[0].message.content != ""
    assert pieces[-1].usage.completion_tokens == whole.usage.completion_tokens > 0
    vectors = litellm.embedding(model=f"openai/{gateway.embed}", api_base=gateway.v1, api_key="none", input=["a"])
    assert len(vectors.data[0]["embedding"]) > 0


def test_ollama_chat(litellm: Any, gateway: Any) -> None:
    whole = litellm.completion(
        model=f"ollama_chat/{gateway.chat}", api_base=gateway.url, messages=HI, max_tokens=16, temperature=0
    )
    assert whole.usage.completion_tokens > 0


def test_anthropic(litellm: Any, gateway: Any) -> None:
    whole = litellm.completion(
        model=f"anthropic/{gateway.chat}", api_base=gateway.url, api_key="none", messages=HI, max_tokens=16
    )
    assert whole.choices[0].message.content
    assert whole.usage.completion_tokens > 0


def test_an_overflow_is_known_for_what_it_is(litellm: Any, gateway: Any) -> None:
    with pytest.raises(litellm.ContextWindowExceededError):
        litellm.completion(
            model=f"openai/{gateway.chat}",
            api_base=gateway.v1,
            api_key="none",
            messages=[{"role": "user", "content": "word " * 20_000}],
            num_retries=0,
        )

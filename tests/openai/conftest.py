"""The dialect over a real socket, in front of a gateway that says what a test wants."""

from __future__ import annotations

import struct
from collections.abc import AsyncIterator, Sequence

import httpx
import openai
import pytest

from hyperllama.errors import ContextTooLong
from hyperllama.generation import GenerationRequest, TokenChunk, Usage
from hyperllama.testing.fakes import FakeGateway, Scripted, model_info, text_of
from hyperllama.testing.serving import serving
from hyperllama_openai.protocol import OpenAI
from hyperllama_openai.settings import Settings

INFO = model_info(
    "org/tiny",
    capabilities=frozenset({"completion", "chat", "tools", "thinking", "logprobs", "structured"}),
    context_length=1024,
    embedding_length=4,
    aliases=("tiny",),
    modified=1_700_000_000.5,
    vocab_size=0x110000,
)


def greet(request: GenerationRequest) -> Sequence[Scripted]:
    """``Hello there.`` in three tokens, one of them alone."""
    words = ("Hello", " there", ".")
    kept = words[: request.sampling.max_tokens]
    usage = Usage(len(text_of(request.input)), len(kept))
    end = TokenChunk(tokens=0, finish_reason="length" if len(kept) < len(words) else "stop", usage=usage)
    return [[TokenChunk(text=kept[0])], [*(TokenChunk(text=word) for word in kept[1:]), end]]


@pytest.fixture
def fake() -> FakeGateway:
    gateway = FakeGateway(INFO, answer=greet)
    gateway.vector = lambda text, size: struct.pack(f"<{size}f", *(0.5, -1.25, *[float(len(text))] * size)[:size])
    return gateway


@pytest.fixture
def settings() -> Settings:
    """Override to change the plugin's settings."""
    return Settings()


@pytest.fixture
async def base_url(fake: FakeGateway, settings: Settings) -> AsyncIterator[str]:
    async with serving(OpenAI(settings), fake) as url:
        yield url


@pytest.fixture
async def http(base_url: str) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=base_url, timeout=30, verify=False) as client:  # noqa: S501 - no TLS on loopback
        yield client


@pytest.fixture
async def client(base_url: str) -> AsyncIterator[openai.AsyncOpenAI]:
    async with openai.AsyncOpenAI(base_url=f"{base_url}/v1", api_key="none", max_retries=0, timeout=30) as client:
        yield client


@pytest.fixture
def too_long() -> ContextTooLong:
    return ContextTooLong("The prompt has 2000 tokens and the model's context holds 1024.", param="messages")

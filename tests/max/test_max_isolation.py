"""Large requests beside small chats on MAX: the engine lives, and the small ones are all answered (attack.md A3)."""

from __future__ import annotations

import asyncio

import pytest

from hyperllama.embedding import EmbeddingRequest
from hyperllama.errors import GatewayError
from hyperllama.generation import GenerationRequest, JsonSchema, Sampling, ToolSpec
from hyperllama.messages import Chat, Message, Prompt, PromptTokens, Text
from hyperllama.stream import collect

EMPTY = Message(role="user")


def said(text: str) -> Message:
    return Message(role="user", parts=(Text(text),))


#: Some are refused by the gateway's side of the host, some by the host, some are as large as is let through.
LARGE = {
    "199,000 messages": Chat((EMPTY,) * 199_000),
    "as many messages as tokens": Chat((EMPTY,) * 1024),
    "long text": Chat((said("x" * 130_000),)),
    "special tokens": Chat((said("<|end|>" * 18_000),)),
    "special tokens in a prompt": Prompt("<|end|>" * 18_000),
    "spaces": Prompt(" " * 130_000),
    "ids": PromptTokens((7,) * 1_000_000),
}


async def quiet(coroutine) -> None:
    """A request that may be refused, in a sentence."""
    try:
        await coroutine
    except GatewayError as error:
        assert error.status in (400, 503), error


async def generation(model, input, **fields) -> None:
    await collect(await model.generate(GenerationRequest(model="m", input=input, sampling=TINY, **fields)))


TINY = Sampling(max_tokens=2)


def attacks(model):
    for body in LARGE.values():
        yield lambda body=body: generation(model, body)
        yield lambda body=body: model.tokenize(body)
    yield lambda: model.detokenize((7,) * 1_900_000)
    yield lambda: model.detokenize((7,) * 130_000)
    tools = tuple(ToolSpec(f"f{number}", "x" * 100) for number in range(1000))
    yield lambda: generation(model, Chat((said("hi"),)), tools=tools)
    deep: dict = {"type": "string"}
    for _ in range(200):
        deep = {"type": "object", "properties": {"a": deep}}
    yield lambda: generation(model, Chat((said("hi"),)), output=JsonSchema(deep))
    wide = {"type": "object", "properties": {f"p{number}": {"type": "string"} for number in range(20_000)}}
    yield lambda: generation(model, Chat((said("hi"),)), output=JsonSchema(wide))


@pytest.mark.parametrize("at_once", [1, pytest.param(8, marks=pytest.mark.nightly)])
async def test_large_requests_take_nothing_from_small_ones(chat, at_once):
    attacking = [attack for attack in attacks(chat) for _ in range(at_once)]
    small = GenerationRequest(model="m", input=Chat((said("hi"),)), sampling=Sampling(max_tokens=8))
    large = asyncio.gather(*(quiet(attack()) for attack in attacking))
    answered = 0
    while not large.done():
        assert (await collect(await chat.generate(small))).usage.completion_tokens
        answered += 1
    await large
    assert answered > 1
    assert chat.failure is None


@pytest.mark.parametrize("at_once", [1, pytest.param(2, marks=pytest.mark.nightly)])
async def test_large_inputs_to_be_embedded_take_nothing_from_small_ones(encoder, at_once):
    many = [
        EmbeddingRequest(model="m", inputs=inputs, truncate=truncate)
        for inputs in (("x " * 2_000_000,), ("x y z",) * 512, ((7,) * 1_000_000,))
        for truncate in (True, False)
    ]
    large = asyncio.gather(*(quiet(encoder.embed(request)) for request in many for _ in range(at_once)))
    small = EmbeddingRequest(model="m", inputs=("hi",))
    while not large.done():
        assert len((await encoder.embed(small)).vectors) == 1
    await large
    assert encoder.failure is None


@pytest.mark.parametrize("count", [1, 3, 300, 2000])
async def test_pieces_are_encoded_as_they_are_one_by_one(chat, count):
    """Special-token text, quoted: its pieces are encoded in groups."""
    try:
        together = await chat.tokenize(Chat((said("a<|user|>b" * count),)))
    except GatewayError:
        pytest.skip("longer than the context takes")
    once = await chat.tokenize(Chat((said("a<|user|>b"),)))
    twice = await chat.tokenize(Chat((said("a<|user|>b" * 2),)))
    assert len(together) == len(once) + (count - 1) * (len(twice) - len(once))

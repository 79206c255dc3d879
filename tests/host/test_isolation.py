"""A host lives whatever its requests do, and is sent nothing that cannot fit its model (attack.md A3)."""

from __future__ import annotations

import asyncio

import pytest

from hyperllama.embedding import EmbeddingRequest
from hyperllama.errors import ContextTooLong, EngineFailed, GatewayError, InvalidRequest
from hyperllama.generation import GenerationRequest, Sampling, ToolSpec
from hyperllama.host import bounds, frames
from hyperllama.host.heartbeat import Heartbeat
from hyperllama.messages import Chat, Message, Prompt, PromptTokens, Text, ToolCall
from hyperllama.stream import collect

EMPTY = Message(role="user")
#: The fake worker's context holds 100 tokens.
TOO_MUCH = {
    "many messages": Chat((EMPTY,) * 199_000),
    "many calls": Chat((Message(role="assistant", tool_calls=(ToolCall("", "f", "{}"),) * 199_000),)),
    "one long message": Chat((Message(role="user", parts=(Text("x" * 8_000_000),)),)),
    "many long parts": Chat((Message(role="user", parts=(Text("x" * 1000),) * 8000),)),
    "long thoughts": Chat((Message(role="assistant", reasoning="x" * 8_000_000),)),
    "long arguments": Chat((Message(role="assistant", tool_calls=(ToolCall("", "f", "x" * 8_000_000),)),)),
    "a long prompt": Prompt("x" * 8_000_000),
    "a long suffix": Prompt("", "x" * 8_000_000),
    "many ids": PromptTokens((7,) * 1_900_000),
}


def asked(input, **fields):
    return GenerationRequest(model="m", input=input, sampling=Sampling(max_tokens=1), **fields)


@pytest.fixture
def sent(monkeypatch):
    """Frames as they go to the host."""
    seen = []
    encoder = frames.encoder

    def spying():
        encode = encoder()

        def encoded(message):
            if not isinstance(message, frames.Ping):
                seen.append(message)
            return encode(message)

        return encoded

    monkeypatch.setattr(frames, "encoder", spying)
    return seen


async def test_what_cannot_fit_is_refused_before_it_is_sent(start, sent):
    model = await start()
    sent.clear()
    for name, body in TOO_MUCH.items():
        for ask in (model.generate(asked(body)), model.tokenize(body)):
            with pytest.raises(ContextTooLong, match="100 tokens"):
                await ask
            assert not sent, name
    tools = (ToolSpec("f"),) * 199_000
    with pytest.raises(ContextTooLong):
        await model.generate(asked(Chat((EMPTY,)), tools=tools))
    with pytest.raises(InvalidRequest, match="token ids"):
        await model.detokenize((7,) * 1_900_000)
    for text in ("x" * 8_000_000, (7,) * 101):
        with pytest.raises(ContextTooLong):
            await model.embed(EmbeddingRequest(model="m", inputs=("short", text), truncate=False))
    assert not sent


async def test_inputs_to_be_embedded_are_cut_to_what_could_be_used(start, sent):
    model = await start()
    sent.clear()
    inputs = ("x" * 8_000_000, tuple(range(1_000_000)), "short", (1, 2))
    await model.embed(EmbeddingRequest(model="m", inputs=inputs, truncate=True))
    (message,) = sent
    text, ids, *rest = message.request.inputs
    assert len(text) == bounds.characters(100)
    assert ids == (*range(100), 999_999)  # one more than fits, and the closing one
    assert rest == ["short", (1, 2)]


@pytest.mark.parametrize("context", [100, 131_072])
def test_what_may_fit_passes(context):
    bounds.check(Chat((EMPTY,) * 100), context)
    bounds.check(Prompt("x" * 64 * 100), context)
    bounds.check(PromptTokens((7,) * 100), context)
    bounds.check_ids((7,) * 100_000, context)
    request = EmbeddingRequest(model="m", inputs=("x" * 64 * 100, (7,) * 100))
    assert bounds.shortened(request, context) is request


def test_no_context_is_long_enough_for_any_number_of_messages():
    with pytest.raises(InvalidRequest, match="at most 16384") as refused:
        bounds.check(Chat((EMPTY,) * 20_000), 1_000_000)
    assert not isinstance(refused.value, ContextTooLong)


async def test_a_request_that_holds_up_the_io_loop_does_not_get_the_host_ended(start, ask):
    model = await start(pace=0.01, host={"silence": 0.4})
    stream = await model.generate(ask(20))
    await asyncio.gather(*(model.tokenize(Prompt("stall 0.15")) for _ in range(8)))
    assert (await collect(stream)).text.split()[-1] == "20"
    assert model.failure is None


async def test_an_io_loop_that_never_comes_round_is_a_hang(start):
    model = await start(host={"silence": 0.2})
    with pytest.raises(EngineFailed, match="held up"):
        await model.tokenize(Prompt("stall 60"))


@pytest.mark.parametrize(("share", "lives"), [(0.0, False), (0.01, False), (0.2, True), (1.0, True)])
async def test_a_silent_host_that_uses_the_processor_has_four_times_as_long(share, lives):
    """Starved of the processor, or in native code that holds the interpreter."""
    loop, silence = asyncio.get_running_loop(), 0.2
    began, found = loop.time(), loop.create_future()
    heartbeat = Heartbeat(
        lambda _: None,
        lambda reason: found.set_result((reason, loop.time() - began)),
        silence=silence,
        longest_step=60,
        cpu_seconds=lambda: share * (loop.time() - began),
    )
    reason, seconds = await found
    assert "no sign of life" in reason
    assert (seconds > 4 * silence) is lives
    heartbeat.stop()


async def test_pongs_that_report_a_stalled_loop_are_a_hang_in_the_end():
    reasons = []
    heartbeat = Heartbeat(lambda _: None, reasons.append, silence=1.0, longest_step=60)
    heartbeat.beat(frames.Pong(1, 0, 0.0, 0, stalled=3.9))
    assert not reasons
    heartbeat.beat(frames.Pong(2, 0, 0.0, 0, stalled=4.1))
    assert len(reasons) == 1


async def test_a_host_that_is_killed_while_it_loads_is_worth_another_try(start):
    with pytest.raises(GatewayError) as refused:
        await start(load="crash")
    assert refused.value.retry_after
    with pytest.raises(GatewayError) as refused:
        await start(load="fail")
    assert refused.value.retry_after is None

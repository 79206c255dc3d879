"""Frames: whole, in pieces, too large, and garbage."""

from __future__ import annotations

import random
from typing import Any

import pytest

from hyperllama import errors
from hyperllama.embedding import EmbeddingRequest, Embeddings
from hyperllama.errors import EngineFailed, GatewayError, MethodNotAllowed
from hyperllama.generation import (
    GenerationRequest,
    JsonSchema,
    NamedTool,
    Sampling,
    TokenChunk,
    TokenLogprob,
    ToolCallDelta,
    ToolSpec,
    TopLogprob,
    Usage,
)
from hyperllama.host import failures, frames
from hyperllama.messages import Chat, Image, Message, Prompt, PromptTokens, Text, ToolCall
from hyperllama.models import LoadProgress, ModelInfo, ModelSpec

RICH = TokenChunk(
    text="a\n",
    tokens=2,
    finish_reason="tool_calls",
    usage=Usage(1, 2, 3, 4),
    reasoning="hm",
    tool_calls=(ToolCallDelta(0, "{}", "call_1", "f"),),
    logprobs=(TokenLogprob("a", -0.5, 7, b"a", (TopLogprob("b", -1.5, 8, b"\xff"),)),),
    token_ids=(1, 2),
    prompt_token_ids=(3,),
)
REQUEST = GenerationRequest(
    model="m",
    input=Chat(
        (
            Message(role="user", parts=(Text("hi"), Image(b"\x89PNG"))),
            Message(role="assistant", tool_calls=(ToolCall("c", "f", "{}"),)),
        ),
        continue_last=True,
        template_kwargs={"a": [1, None]},
    ),
    sampling=Sampling(temperature=0.5, stop=("x",), logit_bias={5: -1.0}),
    tools=(ToolSpec("f", "d", {"type": "object"}),),
    tool_choice=NamedTool("f"),
    output=JsonSchema({"type": "object"}),
    keep_alive=float("inf"),
)
TO_HOST: list[Any] = [
    frames.Load(1, ModelSpec(name="m", options={"a": 1}), "/models/m", {"cache": "x"}),
    frames.Submit(1, REQUEST),
    frames.Submit(2, GenerationRequest(model="m", input=PromptTokens((1, 2)), reasoning="high")),
    frames.Cancel(1),
    frames.Embed(3, EmbeddingRequest(model="m", inputs=("a", (1, 2)))),
    frames.Tokenize(4, Prompt("a", "b")),
    frames.Detokenize(5, (1, 2)),
    frames.DetokenizeEach(5, (1, 2)),
    frames.Drain(),
    frames.Ping(9),
]
FROM_HOST: list[Any] = [
    frames.Hello(1, 77),
    frames.Progress(LoadProgress("compiling", "model", 1.5, None)),
    frames.Ready(ModelInfo(name="m", engine="e", capabilities=frozenset({"chat", "tools"}), context_length=8)),
    frames.LoadError("no"),
    frames.Admitted(1),
    frames.Refused(1, "ContextTooLong", "long", "messages", 2.5),
    frames.Step([(1, TokenChunk(text="a")), (2, RICH)], [frames.Refused(3, "EngineFailed", "broke")]),
    frames.Embedded(3, Embeddings((b"\0\0\0\0",), 4)),
    frames.Tokens(4, (1, 2)),
    frames.Detokenized(5, "ab"),
    frames.Texts(5, ("a", "b")),
    frames.Pong(9, 1, 0.5, 2, 3),
    frames.Fatal("why"),
]


@pytest.mark.parametrize(("side", "messages"), [("host", TO_HOST), ("gateway", FROM_HOST)])
@pytest.mark.parametrize("piece", [1, 3, 7, 1000, 10**6])
def test_messages_survive_the_wire_however_it_cuts_them(side, messages, piece):
    encode, reader = frames.encoder(), frames.Reader(side)
    wire = b"".join(map(encode, messages))
    seen = [message for at in range(0, len(wire), piece) for message in reader.feed(wire[at : at + piece])]
    assert seen == messages


def test_a_frame_over_the_cap_is_refused_before_it_is_read():
    reader = frames.Reader("host")
    with pytest.raises(frames.BadFrameError, match="cap"):
        reader.feed((frames.MAX_FRAME + 1).to_bytes(4, "big") + b"\x90")
    reader = frames.Reader("host")
    assert reader.feed(b"\xff") == []
    with pytest.raises(frames.BadFrameError, match="cap"):
        reader.feed(b"\xff\xff\xff")


def test_a_message_over_the_cap_is_not_sent():
    with pytest.raises(frames.BadFrameError, match="cap"):
        frames.encoder()(frames.Fatal("x" * (frames.MAX_FRAME + 1)))


@pytest.mark.parametrize("side", ["host", "gateway"])
def test_garbage_is_a_bad_frame_and_nothing_else(side):
    dice = random.Random(8)
    encode = frames.encoder()
    honest = [bytes(encode(message)) for message in (TO_HOST if side == "host" else FROM_HOST)]
    bad = 0
    for _ in range(5000):
        frame = bytearray(dice.choice(honest))
        for _ in range(dice.randint(1, 4)):
            frame[dice.randrange(len(frame))] = dice.randrange(256)
        if dice.random() < 0.3:
            frame = bytearray(len(frame[4:]).to_bytes(4, "big") + dice.randbytes(len(frame) - 4))
        try:
            frames.Reader(side).feed(bytes(frame))
        except frames.BadFrameError:
            bad += 1
    assert bad > 1000


def test_frames_of_the_other_direction_are_refused():
    wire = frames.encoder()(frames.Hello(1, 2))
    with pytest.raises(frames.BadFrameError):
        frames.Reader("host").feed(bytes(wire))


def _kinds(kind: type[GatewayError]) -> list[type[GatewayError]]:
    return [kind, *(below for child in kind.__subclasses__() for below in _kinds(child))]


@pytest.mark.parametrize("kind", [kind for kind in _kinds(GatewayError) if kind.__module__ == errors.__name__])
def test_every_error_comes_back_as_its_own_class(kind):
    if kind is MethodNotAllowed:
        return
    back = failures.error(failures.refusal(1, kind("sentence", param="p", retry_after=3.0)))
    assert type(back) is kind
    assert (back.message, back.param, back.retry_after) == ("sentence", "p", 3.0)


@pytest.mark.parametrize("name", ["NoSuchError", "Exception", "annotations", "ClassVar", "MethodNotAllowed"])
def test_an_error_of_no_known_class_is_an_engine_failure(name):
    assert type(failures.error(frames.Refused(1, name, "x"))) is EngineFailed

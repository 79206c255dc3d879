"""Streams, byte for byte: what a client reads from the socket is what lies in ``golden/``, ids and times masked.

A file is ``<case>.sse``. The engine's chunks are given here; the batches they come in are part of the case.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import httpx
import pytest

from hyperllama.errors import EngineFailed
from hyperllama.generation import GenerationRequest, TokenChunk, TokenLogprob, ToolCallDelta, TopLogprob, Usage
from hyperllama.testing.fakes import FakeGateway, Scripted

GOLDEN = Path(__file__).with_name("golden")
CHAT = {"model": "tiny", "messages": [{"role": "user", "content": "Hi"}], "stream": True}
TOOLS = {"tools": [{"type": "function", "function": {"name": name}} for name in ("f", "g")]}
PROMPT = {"model": "tiny", "prompt": "Hi", "stream": True}
ASK = {"model": "tiny", "input": "Hi", "stream": True}
FLAT = {"tools": [{"type": "function", "name": "f", "parameters": None, "strict": None}]}
END = TokenChunk(tokens=0, finish_reason="stop", usage=Usage(5, 2, 1, 1))
CALLED = TokenChunk(tokens=0, finish_reason="tool_calls", usage=Usage(5, 9))

_MASKS = (
    (re.compile(rb'"(chatcmpl-|cmpl-|resp_|msg_|fc_|rs_)[0-9a-f]{32}"'), rb'"\1*"'),
    (re.compile(rb'"(created|created_at|completed_at)":\d+'), rb'"\1":0'),
)


def masked(raw: bytes) -> bytes:
    for pattern, mask in _MASKS:
        raw = pattern.sub(mask, raw)
    return raw


def text(*words: str) -> list[TokenChunk]:
    return [TokenChunk(text=word) for word in words]


def call(index: int, arguments: str = "", id: str | None = None, name: str | None = None) -> TokenChunk:
    return TokenChunk(tool_calls=(ToolCallDelta(index, arguments, id, name),))


def probability(token: str, value: float, *top: TopLogprob) -> TokenLogprob:
    return TokenLogprob(token, value, 1, token.encode(), top)


ONE_CALL = [[call(0, "", "call_1", "f")], [call(0, '{"a'), call(0, '":1}')], [CALLED]]
# The second call is named and begun in one chunk with the first; the engine numbers them as it likes.
BOTH = TokenChunk(
    tool_calls=(ToolCallDelta(3, "{}", "call_1", "f"), ToolCallDelta(9, "", "call_2", "g"), ToolCallDelta(9, "{"))
)
CALLS = [text("x"), [BOTH], [call(9, "}"), CALLED]]
THOUGHTS = [[TokenChunk(reasoning="h"), TokenChunk(reasoning="m", text="so")], [*text("."), END]]
LIKELY = (
    TokenChunk(reasoning="t", logprobs=(probability("t", -1.0),)),
    TokenChunk(
        text="aé",
        tokens=2,
        logprobs=(
            probability("a", -0.5, TopLogprob("a", -0.5, 1, b"a"), TopLogprob("\ufffd", float("-inf"), 2, b"\xc3")),
            probability("é", -0.25, TopLogprob("é", -0.25, 3, "é".encode())),
        ),
    ),
    END,
)
USAGE = {"stream_options": {"include_usage": True}}
LOGPROBS = {"include": ["message.output_text.logprobs"]}

#: path, body, what the engine says
CASES: dict[str, tuple[str, dict[str, Any], Sequence[Scripted]]] = {
    "chat_text": ("chat/completions", CHAT, [text("Hé"), [*text('"\n', "", "\u2028🦊"), END]]),
    "chat_nothing": ("chat/completions", CHAT, [[END]]),
    "chat_stop": ("chat/completions", {**CHAT, "stop": ["!"]}, [[*text("a"), TokenChunk(
        tokens=0, finish_reason="stop", stop_match="!", usage=Usage(5, 2))]]),
    "chat_length": ("chat/completions", CHAT, [[*text("a"), TokenChunk(
        tokens=0, finish_reason="length", usage=Usage(5, 2))]]),
    "chat_one_tool_call": ("chat/completions", {**CHAT, **TOOLS}, ONE_CALL),
    "chat_parallel_tool_calls": ("chat/completions", {**CHAT, **TOOLS}, CALLS),
    "chat_reasoning": ("chat/completions", CHAT, THOUGHTS),
    "chat_reasoning_hidden": ("chat/completions", {**CHAT, "include_reasoning": False}, THOUGHTS),
    "chat_logprobs": ("chat/completions", {**CHAT, "logprobs": True, "top_logprobs": 2}, [LIKELY]),
    "chat_two_choices": ("chat/completions", {**CHAT, **USAGE, "n": 2}, [text("a"), [*text("b"), END]]),
    "chat_usage": ("chat/completions", {**CHAT, **USAGE}, [text("a"), [*text("b"), END]]),
    "chat_error": ("chat/completions", CHAT, [text("a"), EngineFailed('worker "1" died')]),
    "chat_cut_off": ("chat/completions", CHAT, [text("half")]),
    "completion": ("completions", {**PROMPT, **USAGE, "echo": True}, [text("a"), [*text("b"), END]]),
    "completion_two_prompts": ("completions", {**PROMPT, **USAGE, "prompt": ["a", "b"]}, [text("a"), [END]]),
    "completion_logprobs": ("completions", {**PROMPT, "logprobs": 1}, [LIKELY[1:]]),
    "completion_error": ("completions", PROMPT, [text("a"), EngineFailed("worker 1 died")]),
    "response_text": ("responses", ASK, [text("a"), [*text("b"), END]]),
    "response_reasoning_and_calls": ("responses", {**ASK, **FLAT}, [*THOUGHTS[:1], *ONE_CALL]),
    "response_logprobs": ("responses", {**ASK, **LOGPROBS, "top_logprobs": 2}, [LIKELY[1:]]),
    "response_error": ("responses", ASK, [text("a"), EngineFailed("worker 1 died")]),
}  # fmt: skip


async def streamed(http: httpx.AsyncClient, fake: FakeGateway, case: str) -> bytes:
    path, body, answer = CASES[case]

    def say(request: GenerationRequest) -> Sequence[Scripted]:
        return answer

    fake.answer = say
    reply = await http.post(f"/v1/{path}", json=body)
    assert reply.status_code == 200, reply.text
    assert reply.headers["content-type"] == "text/event-stream; charset=utf-8"
    return reply.content


@pytest.mark.parametrize("case", CASES)
async def test_a_stream_is_what_it_was(http: httpx.AsyncClient, fake: FakeGateway, case: str) -> None:
    expected = (GOLDEN / f"{case}.sse").read_bytes()
    assert masked(await streamed(http, fake, case)).decode().split("\n\n") == expected.decode().split("\n\n")


def test_every_file_is_of_a_case() -> None:
    assert {path.stem for path in GOLDEN.iterdir()} == set(CASES)


async def test_the_masks_hide_ids_and_times_and_nothing_else(http: httpx.AsyncClient, fake: FakeGateway) -> None:
    first, second = [await streamed(http, fake, "response_text") for _ in range(2)]
    assert first != second
    assert masked(first) == masked(second)
    changes: tuple[Callable[[bytes], bytes], ...] = (
        lambda raw: raw[:-1],
        lambda raw: raw.replace(b"\n\n", b"\r\n\r\n", 1),
        lambda raw: raw.replace(b'"sequence_number":3', b'"sequence_number":4'),
        lambda raw: raw.replace(b'"delta":"a"', b'"delta":"A"'),
        lambda raw: raw.replace(b"data: ", b"data:", 1),
    )
    for change in changes:
        assert change(first) != first
        assert masked(change(first)) != masked(first)
    fake.answer = lambda _: [text("a"), [*text("b"), TokenChunk(tokens=0, finish_reason="length", usage=Usage(5, 2))]]
    other = await http.post("/v1/chat/completions", json={**CHAT, **USAGE})
    expected = (GOLDEN / "chat_usage.sse").read_bytes()
    assert masked(other.content) != expected, "another end shows"

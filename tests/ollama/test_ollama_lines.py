"""Golden bytes of streams and of whole answers."""

from __future__ import annotations

import json
import re

import msgspec
import pytest

from hyperllama.errors import EngineFailed, Overloaded
from hyperllama.generation import (
    Completion,
    FinishReason,
    Timings,
    TokenChunk,
    TokenLogprob,
    ToolCallDelta,
    TopLogprob,
    Usage,
)
from hyperllama.messages import ToolCall
from hyperllama.stream import Collector
from hyperllama_ollama.encode import whole
from hyperllama_ollama.encode.lines import ChatLines, GenerateLines

TIMINGS = Timings(total=1_000, load=20, queue=5, prompt=300, generate=600)
USAGE = Usage(prompt_tokens=26, completion_tokens=2, cached_tokens=0)
LAST = TokenChunk(finish_reason="stop", tokens=0, usage=USAGE, timings=TIMINGS)
METRICS = (
    b'"total_duration":1000,"load_duration":20,"prompt_eval_count":26,"prompt_eval_cached_count":0,'
    b'"prompt_eval_duration":300,"eval_count":2,"eval_duration":600'
)
OTHERS = (TopLogprob("Ho", -4.5, 6, b"Ho"), TopLogprob("Hi", -0.01, 5, b"Hi"), TopLogprob("", -9.0, 7, b""))
CHOSEN = TokenLogprob("Hi", -0.01, 5, b"Hi", OTHERS)


def _clock() -> str:
    return "2026-01-02T03:04:05.12Z"


def _chat(*chunks: TokenChunk, model: str = "m", top: int = 0) -> bytes:
    lines = ChatLines(model, top=top, clock=_clock, make_id=lambda: "call_x1y2z3a4")
    return lines.chunks(0, chunks) + lines.end()


def _generate(*chunks: TokenChunk, context: bool = True, top: int = 0) -> bytes:
    lines = GenerateLines("m", context=context, top=top, clock=_clock, make_id=lambda: "call_x1y2z3a4")
    return b"".join(lines.chunks(0, [chunk]) for chunk in chunks) + lines.end()


_HEAD = b'{"model":"m","created_at":"2026-01-02T03:04:05.12Z",'


def test_a_generate_stream() -> None:
    first = TokenChunk(text="Sky", token_ids=(882,))
    last = msgspec.structs.replace(LAST, prompt_token_ids=(128006, 7), token_ids=(9,))
    assert _generate(first, last) == (
        _HEAD + b'"response":"Sky","done":false}\n'
        + _HEAD + b'"response":"","done":true,"done_reason":"stop","context":[128006,7,882,9],' + METRICS + b"}\n"
    )  # fmt: skip


def test_a_raw_stream_has_no_context() -> None:
    last = msgspec.structs.replace(LAST, prompt_token_ids=(1,), token_ids=(9,))
    assert b"context" not in _generate(last, context=False)


def test_a_chat_stream() -> None:
    assert _chat(TokenChunk(text="H<i>"), TokenChunk(text="\u2028"), LAST) == (
        _HEAD + b'"message":{"role":"assistant","content":"H\\u003ci\\u003e"},"done":false}\n'
        + _HEAD + b'"message":{"role":"assistant","content":"\\u2028"},"done":false}\n'
        + _HEAD + b'"message":{"role":"assistant","content":""},"done":true,"done_reason":"stop",' + METRICS + b"}\n"
    )  # fmt: skip


def test_thinking_comes_in_lines_of_its_own_before_the_answer() -> None:
    written = _chat(TokenChunk(reasoning="Need"), TokenChunk(reasoning=" it", text="Yes"), LAST)
    assert written.splitlines()[:3] == [
        _HEAD + b'"message":{"role":"assistant","content":"","thinking":"Need"},"done":false}',
        _HEAD + b'"message":{"role":"assistant","content":"","thinking":" it"},"done":false}',
        _HEAD + b'"message":{"role":"assistant","content":"Yes"},"done":false}',
    ]
    assert _generate(TokenChunk(reasoning="Need")) == (_HEAD + b'"response":"","thinking":"Need","done":false}\n')


def test_tool_calls_come_whole_each_in_its_line_and_the_reason_stays_stop() -> None:
    written = _chat(
        TokenChunk(text="Let me see."),
        TokenChunk(tool_calls=(ToolCallDelta(0, "", id="call_a", name="get_weather"),)),
        TokenChunk(tool_calls=(ToolCallDelta(0, '{"city":'),)),
        TokenChunk(tool_calls=(ToolCallDelta(0, '"<Paris>","n":1.0}'), ToolCallDelta(1, "", name="now"))),
        msgspec.structs.replace(LAST, finish_reason="tool_calls"),
    )
    assert written.splitlines()[1:] == [
        _HEAD + b'"message":{"role":"assistant","content":"","tool_calls":[{"id":"call_a","function":{"index":0,'
        b'"name":"get_weather","arguments":{"city":"\\u003cParis\\u003e","n":1}}}]},"done":false}',
        _HEAD + b'"message":{"role":"assistant","content":"","tool_calls":[{"id":"call_x1y2z3a4","function":{"index":1,'
        b'"name":"now","arguments":{}}}]},"done":false}',
        _HEAD + b'"message":{"role":"assistant","content":""},"done":true,"done_reason":"stop",' + METRICS + b"}",
    ]


def test_a_call_whose_arguments_are_no_object_fails() -> None:
    with pytest.raises(EngineFailed, match="no JSON object"):
        _chat(TokenChunk(tool_calls=(ToolCallDelta(0, "[1]", name="f"),)), LAST)


def test_text_of_the_last_chunk_has_a_line_before_it() -> None:
    lines = _chat(msgspec.structs.replace(LAST, text="end")).splitlines()
    assert lines[0] == _HEAD + b'"message":{"role":"assistant","content":"end"},"done":false}'
    assert len(lines) == 2


def test_chunks_without_anything_to_say_make_no_line() -> None:
    assert _chat(TokenChunk(), TokenChunk(text="")) == b""


def test_log_probabilities() -> None:
    plain = _chat(TokenChunk(text="Hi", logprobs=(CHOSEN,)))
    assert plain == (
        _HEAD + b'"message":{"role":"assistant","content":"Hi"},"done":false,'
        b'"logprobs":[{"token":"Hi","logprob":-0.01,"bytes":[72,105]}]}\n'
    )
    buffered = _generate(TokenChunk(logprobs=(CHOSEN,)), top=2)
    assert buffered == (
        _HEAD + b'"response":"","done":false,"logprobs":[{"token":"Hi","logprob":-0.01,"bytes":[72,105],'
        b'"top_logprobs":[{"token":"Hi","logprob":-0.01,"bytes":[72,105]},'
        b'{"token":"Ho","logprob":-4.5,"bytes":[72,111]}]}]}\n'
    )


@pytest.mark.parametrize("finish", ["length", "cancelled", "content_filter", "stop string"])
@pytest.mark.parametrize("half", ["", "{", '{"a":', '{"a":1', '{"a":"}', " "])
@pytest.mark.parametrize("before", [0, 1, 3])
def test_b01_half_a_call_of_an_answer_that_was_cut_is_dropped(finish: str, half: str, before: int) -> None:
    stopped = {"finish_reason": "stop", "stop_match": "x"} if finish == "stop string" else {"finish_reason": finish}
    last = msgspec.structs.replace(LAST, **stopped)
    calls = [ToolCallDelta(at, '{"a":1}', id=f"call_{at}", name="f") for at in range(before)]
    calls.append(ToolCallDelta(before, half, id="call_h", name="g"))
    said = [TokenChunk(text="Let me see."), *(TokenChunk(tool_calls=(call,)) for call in calls), last]
    *lines, end = map(json.loads, _chat(*said).splitlines())
    assert lines[0]["message"]["content"] == "Let me see."
    assert [line["message"]["tool_calls"][0]["id"] for line in lines[1:]] == [f"call_{at}" for at in range(before)]
    assert end["done"]
    assert end.get("done_reason") == {"cancelled": None, "length": "length"}.get(finish, "stop")
    collector = Collector()
    collector.add(said)
    found = json.loads(whole.chatted("m", collector.result(), top=0))
    assert found["message"]["content"] == "Let me see."
    assert len(found["message"].get("tool_calls", [])) == before
    assert found.get("done_reason") == end.get("done_reason")


@pytest.mark.parametrize("finish", ["stop", "tool_calls"])
@pytest.mark.parametrize("wrong", ["{", '{"a":', "[1]", "1", "null"])
def test_b14_a_call_that_the_model_itself_wrote_wrongly_is_its_failure(finish: str, wrong: str) -> None:
    said = [
        TokenChunk(tool_calls=(ToolCallDelta(0, wrong, name="f"),)),
        msgspec.structs.replace(LAST, finish_reason=finish),
    ]
    with pytest.raises(EngineFailed, match="no JSON object"):
        _chat(*said)
    collector = Collector()
    collector.add(said)
    with pytest.raises(EngineFailed, match="no JSON object"):
        whole.chatted("m", collector.result(), top=0)


@pytest.mark.parametrize(
    ("finish", "written"),
    [
        ("stop", b',"done_reason":"stop"'),
        ("length", b',"done_reason":"length"'),
        ("tool_calls", b',"done_reason":"stop"'),
        ("content_filter", b',"done_reason":"stop"'),
        ("cancelled", b""),
    ],
)
def test_reasons_to_stop(finish: FinishReason, written: bytes) -> None:
    line = _chat(TokenChunk(finish_reason=finish, tokens=0, usage=Usage(), timings=Timings()))
    assert line == (
        _HEAD
        + b'"message":{"role":"assistant","content":""},"done":true'
        + written
        + b',"prompt_eval_cached_count":0}\n'
    )


def test_an_error_on_the_way_is_one_line() -> None:
    lines = ChatLines("m")
    written = lines.failure(EngineFailed('it "broke"'))
    assert written == b'{"error":"an error was encountered while running the model: it \\"broke\\""}\n'
    busy = lines.failure(Overloaded("queue"))
    assert busy == b'{"error":"server busy, please try again.  maximum pending requests exceeded"}\n'


def test_the_model_is_echoed_as_it_was_sent() -> None:
    assert _chat(TokenChunk(text="x"), model='M"<:Latest').startswith(b'{"model":"M\\"\\u003c:Latest","created_at"')


def test_the_real_clock_and_ids_have_their_form() -> None:
    lines = ChatLines("m")
    call = TokenChunk(tool_calls=(ToolCallDelta(0, "{}", name="f"),))
    written = lines.chunks(0, [call, LAST]).decode()
    assert re.search(r'"id":"call_[a-z0-9]{8}"', written)
    assert re.search(r'"created_at":"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{0,8}[1-9])?Z"', written)


COMPLETION = Completion(
    text="Sky",
    reasoning="why",
    tool_calls=(ToolCall("call_a", "f", '{"a":1}'),),
    logprobs=(CHOSEN,),
    token_ids=(882,),
    prompt_token_ids=(7,),
    finish_reason="tool_calls",
    usage=USAGE,
    timings=TIMINGS,
    stop_match=None,
)


def test_a_whole_generate_answer() -> None:
    written = whole.generated("m", COMPLETION, context=True, top=0, created_at=_clock())
    assert written == (
        _HEAD + b'"response":"Sky","thinking":"why","done":true,"done_reason":"stop","context":[7,882],' + METRICS
        + b',"tool_calls":[{"id":"call_a","function":{"index":0,"name":"f","arguments":{"a":1}}}],'
        b'"logprobs":[{"token":"Hi","logprob":-0.01,"bytes":[72,105]}]}'
    )  # fmt: skip


def test_a_whole_chat_answer() -> None:
    written = whole.chatted("m", COMPLETION, top=1, created_at=_clock())
    assert written == (
        _HEAD + b'"message":{"role":"assistant","content":"Sky","thinking":"why",'
        b'"tool_calls":[{"id":"call_a","function":{"index":0,"name":"f","arguments":{"a":1}}}]},'
        b'"done":true,"done_reason":"stop",'
        b'"logprobs":[{"token":"Hi","logprob":-0.01,"bytes":[72,105],'
        b'"top_logprobs":[{"token":"Hi","logprob":-0.01,"bytes":[72,105]}]}],' + METRICS + b"}"
    )

"""Stop strings: where the answer ends, however it is cut into chunks."""

from __future__ import annotations

import tracemalloc

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hyperllama.generation import GenerationRequest, Sampling, TokenChunk, ToolCallDelta, Usage
from hyperllama.messages import Prompt
from hyperllama.models import ModelInfo
from hyperllama.testing.chunks import chunks, cut, run
from hyperllama.text.stops import StopStrings, stop_strings

TEXTS = st.text(st.sampled_from("ab\n é"), max_size=60)
STOPS = st.lists(st.text(st.sampled_from("ab\n é"), min_size=1, max_size=6), min_size=1, max_size=4)
CUTS = st.lists(st.integers(0, 400), max_size=30)
INFO = ModelInfo(name="m", engine="e", capabilities=frozenset(), context_length=10)
quick = settings(database=None, deadline=None, max_examples=150)


def expected(text: str, stops: list[str]) -> tuple[str, str | None]:
    """By definition: the stop string that is complete first; of those complete at once the longest."""
    for end in range(1, len(text) + 1):
        found = [stop for stop in stops if text[:end].endswith(stop)]
        if found:
            stop = max(found, key=len)
            return text[: end - len(stop)], stop
    return text, None


@quick
@given(TEXTS, STOPS, CUTS)
def test_any_chunking_ends_where_the_definition_says(text: str, stops: list[str], cuts: list[int]) -> None:
    result = run(StopStrings(stops), chunks(cut(text, cuts), finish_reason="length"))
    shown, stop = expected(text, stops)
    assert (result.text, result.stop_match) == (shown, stop)
    assert result.finish_reason == ("length" if stop is None else "stop")


@quick
@given(TEXTS, STOPS, CUTS)
def test_no_prefix_of_what_is_shown_ever_has_to_be_taken_back(text: str, stops: list[str], cuts: list[int]) -> None:
    transform, shown = StopStrings(stops), ""
    final, _ = expected(text, stops)
    for chunk in chunks(cut(text, cuts)):
        out = transform.feed(chunk)
        shown += out.text
        assert final.startswith(shown)
        if out.finish_reason is not None:
            break
    assert shown == final


@quick
@given(TEXTS, STOPS, CUTS)
def test_log_probabilities_stay_with_the_tokens_that_are_shown(text: str, stops: list[str], cuts: list[int]) -> None:
    pieces = cut(text, cuts)
    result = run(StopStrings(stops, logprobs=True), chunks(pieces, logprobs=True))
    begins, at = [], 0
    for piece in pieces:
        begins.append(at)
        at += len(piece)
    kept = [piece for piece, begin in zip(pieces, begins, strict=True) if begin < len(result.text)]
    assert [item.token for item in result.logprobs if item.token] == [piece for piece in kept if piece]


def test_text_that_cannot_begin_a_stop_string_is_not_held_back() -> None:
    transform = StopStrings(["STOP"])
    chunk = TokenChunk(text="hello ")
    assert transform.feed(chunk) is chunk


def test_what_might_begin_one_waits_and_comes_back_whole_when_it_does_not() -> None:
    transform = StopStrings(["STOP"])
    assert transform.feed(TokenChunk(text="a ST")).text == "a "
    assert transform.feed(TokenChunk(text="O")).text == ""
    assert transform.feed(TokenChunk(text="NE")).text == "STONE"


def test_the_end_gives_back_what_was_held() -> None:
    transform = StopStrings(["STOP"])
    transform.feed(TokenChunk(text="a STO"))
    last = transform.feed(TokenChunk(text="", finish_reason="stop", usage=Usage(1, 3)))
    assert (last.text, last.finish_reason, last.stop_match, last.usage) == ("STO", "stop", None, Usage(1, 3))


def test_a_match_before_the_engines_end_counts_what_was_seen() -> None:
    transform = StopStrings(["b"])
    transform.feed(TokenChunk(reasoning="hm", tokens=2, usage=Usage(5, 0, 3)))  # the prompt's figures
    transform.feed(TokenChunk(text="a"))
    out = transform.feed(TokenChunk(text="abc"))
    assert (out.text, out.finish_reason, out.stop_match) == ("a", "stop", "b")
    assert out.usage == Usage(5, 4, 3, 2)


def test_without_the_prompts_figures_counting_is_left_to_the_pipeline() -> None:
    assert StopStrings(["b"]).feed(TokenChunk(text="abc")).usage is None


def test_a_match_in_the_engines_last_chunk_keeps_its_figures() -> None:
    out = StopStrings(["b"]).feed(TokenChunk(text="abc", usage=Usage(5, 9), finish_reason="length"))
    assert (out.text, out.finish_reason, out.usage) == ("a", "stop", Usage(5, 9))


def test_a_tool_call_between_two_halves_keeps_them_apart_and_in_order() -> None:
    call = ToolCallDelta(0, "{}", "call_1", "f")
    transform = StopStrings(["STOP"])
    transform.feed(TokenChunk(text="ST"))
    out = transform.feed(TokenChunk(tool_calls=(call,)))
    assert (out.text, out.tool_calls) == ("ST", (call,))
    assert transform.feed(TokenChunk(text="OP")).finish_reason is None
    assert transform.feed(TokenChunk(text="STOP")).finish_reason == "tool_calls"


def test_a_request_without_stop_strings_needs_no_transform() -> None:
    request = GenerationRequest(model="m", input=Prompt("p"), sampling=Sampling(stop=("",)))
    assert stop_strings(request, INFO) is None


@pytest.mark.parametrize("stop", ["a" * 50_000 + "b", "ab" * 25_000 + "c"])
def test_a_hostile_stop_string_costs_no_more_than_the_text_it_is_held_against(stop: str) -> None:
    transform = StopStrings([stop, *(f"{stop[:100]}{number}" for number in range(3))])
    tracemalloc.start()
    try:
        text = stop[0] * 2000
        result = run(transform, chunks([text[at : at + 4] for at in range(0, len(text), 4)]))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert result.text == text
    assert peak < 4_000_000

"""Reasoning spans, told from the answer however they are cut."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hyperllama.generation import GenerationRequest, TokenChunk, Usage
from hyperllama.messages import Chat, Message, Prompt, Text
from hyperllama.models import ModelInfo
from hyperllama.testing.chunks import chunks, cut, run
from hyperllama.text.reasoning import Marks, ReasoningSpans, families, opens

THINK = Marks("<think>", "</think>")
CUTS = st.lists(st.integers(0, 400), max_size=40)
PIECES = st.sampled_from(["<think>", "</think>", "<thi", "nk>", "</", " ", "\n\n", "a", "word ", "é", "<", ">"])
TEXTS = st.lists(PIECES, max_size=15).map("".join)
quick = settings(database=None, deadline=None, max_examples=150)


def info(template: str = "") -> ModelInfo:
    return ModelInfo(name="m", engine="e", capabilities=frozenset(), context_length=10, template=template)


def chat(**fields: object) -> GenerationRequest:
    return GenerationRequest(model="m", input=Chat((Message(role="user", parts=(Text("hi"),)),)), **fields)  # type: ignore[arg-type]


@quick
@given(TEXTS, CUTS, st.booleans())
def test_any_chunking_gives_what_the_whole_text_gives(text: str, cuts: list[int], opened: bool) -> None:
    whole = run(ReasoningSpans(THINK, opened=opened), chunks([text]))
    result = run(ReasoningSpans(THINK, opened=opened), chunks(cut(text, cuts)))
    assert (result.reasoning, result.text) == (whole.reasoning, whole.text)


@quick
@given(TEXTS, CUTS, st.booleans())
def test_nothing_but_marks_and_the_space_around_them_is_lost(text: str, cuts: list[int], opened: bool) -> None:
    result = run(ReasoningSpans(THINK, opened=opened), chunks(cut(text, cuts)))
    said = "".join((result.reasoning + result.text).split())
    without = text.lstrip()
    if without.startswith("<think>"):
        without = without.removeprefix("<think>")
        opened = True
    if opened:
        without = without.replace("</think>", "", 1)
    assert said == "".join(without.split())


@quick
@given(st.text(st.sampled_from("ab \n"), max_size=30), st.text(st.sampled_from("ab \n"), max_size=30), CUTS)
def test_log_probabilities_are_those_of_the_answer(thought: str, answer: str, cuts: list[int]) -> None:
    text = f"<think>{thought}</think>{answer}"
    fed = chunks(list(text), logprobs=True)
    result = run(ReasoningSpans(THINK, logprobs=True), fed)
    assert "".join(item.token for item in result.logprobs) == result.text == answer.lstrip()


@pytest.mark.parametrize(
    ("text", "opened", "reasoning", "answer"),
    [
        ("<think>\nhm\n</think>\n\nyes", False, "hm", "yes"),
        ("  \n<think>hm</think>yes", False, "hm", "yes"),
        ("hm\n</think>yes", True, "hm", "yes"),
        ("<think>hm</think>yes", True, "hm", "yes"),  # the template opened it, the model again
        ("yes, <think> is a tag</think>", False, "", "yes, <think> is a tag</think>"),
        ("<think></think>yes", False, "", "yes"),
        ("<think>never closed", False, "never closed", ""),
        ("<thi", False, "", "<thi"),
        ("  yes", False, "", "  yes"),
        ("<think>a</thin", False, "a</thin", ""),
        ("<think>a</think>b<think>c</think>", False, "a", "b<think>c</think>"),
    ],
)
def test_what_is_reasoning(text: str, opened: bool, reasoning: str, answer: str) -> None:
    for pieces in ([text], list(text)):
        result = run(ReasoningSpans(THINK, opened=opened), chunks(pieces))
        assert (result.reasoning, result.text) == (reasoning, answer)


def test_reasoning_is_shown_while_it_is_made() -> None:
    transform = ReasoningSpans(THINK)
    shown = [transform.feed(TokenChunk(text=text)).reasoning for text in ("<think>", "one", " two", " </", "think>")]
    assert shown == ["", "one", " two", "", ""]


def test_its_tokens_are_counted_on_the_last_chunk() -> None:
    result = run(ReasoningSpans(THINK), chunks(["<think>", "a", "b", "</think>", "yes", "!"]))
    assert result.usage == Usage(7, 6, 0, 4)


def test_the_engines_own_count_is_left_alone() -> None:
    transform = ReasoningSpans(THINK)
    transform.feed(TokenChunk(text="<think>a"))
    last = transform.feed(TokenChunk(text="", finish_reason="length", usage=Usage(1, 5, 0, 3)))
    assert last.usage == Usage(1, 5, 0, 3)


def test_an_engine_that_tells_them_apart_itself_is_not_second_guessed() -> None:
    transform = ReasoningSpans(THINK, opened=True)
    chunk = TokenChunk(reasoning="hm")
    assert transform.feed(chunk).reasoning == "hm"
    assert transform.feed(TokenChunk(text="<think> is a tag")).text == "<think> is a tag"


@pytest.mark.parametrize(
    ("template", "opened"),
    [
        ("{% if add_generation_prompt %}<|assistant|><think>\n{% endif %}", True),
        (
            "{% if add_generation_prompt %}<|assistant|>{% if not thinking %}<think></think>{% endif %}{% endif %}",
            False,
        ),
        ("{{ message }}<think>{% if add_generation_prompt %}<|assistant|>{% endif %}", False),
        ("<think>", False),
    ],
)
def test_a_template_that_opens_the_span_is_seen(template: str, opened: bool) -> None:
    assert opens(template, THINK) is opened
    transform = families()["think"](chat(), info(template))
    assert transform is not None
    assert run(transform, chunks(["hm"])).reasoning == ("hm" if opened else "")


def test_no_span_was_opened_where_the_caller_asked_for_none_or_continues_an_answer() -> None:
    template = "{% if add_generation_prompt %}<think>{% endif %}"
    unasked = families()["think"](chat(reasoning=False), info(template))
    assert run(unasked, chunks(["yes"])).text == "yes"
    request = GenerationRequest(model="m", input=Chat((Message(role="assistant", parts=(Text("y"),)),), True))
    assert run(families()["think"](request, info(template)), chunks(["es"])).text == "es"


def test_a_prompt_that_is_no_chat_is_left_as_it_is() -> None:
    assert families()["think"](GenerationRequest(model="m", input=Prompt("p")), info()) is None


@pytest.mark.parametrize("name", sorted(families()))
def test_each_family_has_marks_that_are_found(name: str) -> None:
    marks = {
        "think": ("<think>", "</think>"),
        "think-opened": ("<think>", "</think>"),
        "thinking": ("<thinking>", "</thinking>"),
        "reasoning": ("<reasoning>", "</reasoning>"),
        "seed": ("<seed:think>", "</seed:think>"),
        "magistral": ("[THINK]", "[/THINK]"),
        "granite": ("Here is my thought process:", "Here is my response:"),
    }
    start, end = marks[name]
    result = run(families()[name](chat(), info()), chunks(list(f"{start} hm {end} yes")))
    assert (result.reasoning, result.text) == ("hm", "yes")

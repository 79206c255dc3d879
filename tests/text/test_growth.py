"""What a parser reads grows with the answer, not with its square, whatever a caller makes the model say.

Counted, not timed: every character that a step of a parser is given, in answers of n and 4n tokens.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from itertools import cycle, islice
from typing import Any

import pytest

from hyperllama.generation import GenerationRequest, Sampling, TokenChunk, ToolSpec
from hyperllama.messages import Chat
from hyperllama.models import ModelInfo
from hyperllama.spi import Transform
from hyperllama.text import chain
from hyperllama.text.reasoning import ReasoningSpans
from hyperllama.text.stops import StopStrings
from hyperllama.text.tools import ToolCalls

INFO = ModelInfo(name="m", engine="sim", capabilities=frozenset(), context_length=1 << 20)
FRAGMENTS = (
    *(" ", "\n", "", "   \t ", "a", "<", "{", "}", "[", "]", '"', "\\", ";", ",", ":", "name", "{}", '{"name":"t"}'),
    *(
        "<think>",
        "</think>",
        "</thin",
        "[THINK]",
        "[/THINK]",
        "<reasoning>",
        "Here is my thought process:",
        "Here is my",
    ),
    *("<tool_call>", "</tool_call>", "</tool", "[TOOL_CALLS]", "[TOOL", "[ARGS]", "<|python_tag|>", "```json", "```"),
)
#: A beginning, and what is then repeated.
SHAPES: tuple[tuple[Sequence[str], Sequence[str]], ...] = (
    ((), (" ",)),
    ((), ("",)),
    (("<think>",), (" ",)),
    (("<think>", "a"), (" ",)),
    (("<think>", "a", " "), ("",)),
    (("<think>", "a"), (" ", "<")),
    (("<think>", "a", "</think>"), (" ",)),
    (("Here is my thought process:", "a"), (" ", "Here is my")),
    (("<tool_call>",), (" ",)),
    (('{"name":"t"}',), (" ",)),
    (('{"name":"t"}', ";"), (" ",)),
    (('{"name":"t"}', ";", " "), ("",)),
    ((), ('{"name":"t"}',)),
    ((), ('{"name":"t"}', " ", ";")),
    (("[TOOL_CALLS]",), ("name",)),
    (("[TOOL_CALLS]", "name", "["), ("a",)),
    (("[TOOL_CALLS]", "["), ("[",)),
    (("<|python_tag|>", "{", '"'), ("\\",)),
    ((), ("```json", "{", "]")),
)


def random_shapes(count: int) -> Iterator[tuple[Sequence[str], Sequence[str]]]:
    rng = random.Random(5)
    for _ in range(count):
        yield rng.choices(FRAGMENTS, k=rng.randint(0, 4)), rng.choices(FRAGMENTS, k=rng.randint(1, 4))


def request(**sampling: Any) -> GenerationRequest:
    tools = (ToolSpec(name="t", description="", parameters={}),)
    return GenerationRequest(model="m", input=Chat(()), tools=tools, sampling=Sampling(**sampling))


MAKERS: dict[str, Callable[[], Transform | None]] = {
    **{name: lambda factory=factory: factory(request(), INFO) for name, factory in chain.parsers().items()},
    "stop": lambda: StopStrings(["a" * 400 + "b", " " * 300 + "x", "<think>" * 50]),
}


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The characters given to the steps of parsers so far."""
    read = [0]

    def counted(owner: type, name: str, size: Callable[..., int]) -> None:
        inner = getattr(owner, name)

        def step(self: Any, *args: Any, **more: Any) -> Any:
            read[0] += size(self, *args)
            return inner(self, *args, **more)

        monkeypatch.setattr(owner, name, step)

    for name in ("_text", "_head", "_value", "_after"):
        counted(ToolCalls, name, lambda _, rest: len(rest))
    counted(ReasoningSpans, "_split", lambda _, buffer: len(buffer))
    counted(StopStrings, "_take", lambda self, characters: characters + len(self._held[0] if self._held else ""))
    return read


def said(parser: Transform, tokens: Sequence[str]) -> tuple[str, str, list[tuple[str | None, str]]]:
    chunks = [parser.feed(TokenChunk(text=text)) for text in tokens]
    chunks.append(parser.feed(TokenChunk(finish_reason="stop", tokens=0)))
    calls = [(call.name, call.arguments) for chunk in chunks for call in chunk.tool_calls]
    return "".join(c.text for c in chunks), "".join(c.reasoning for c in chunks), calls


@pytest.mark.parametrize("maker", MAKERS)
def test_reading_grows_with_the_answer(maker: str, read: list[int]) -> None:
    make = MAKERS[maker]
    for begin, period in (*SHAPES, *random_shapes(60)):
        costs = []
        for size in (150, 600):
            tokens = [*begin, *islice(cycle(period), size)]
            read[0] = 0
            parser = make()
            assert parser is not None
            said(parser, tokens)
            costs.append(read[0] + size)
        assert costs[1] <= 4.5 * costs[0] + 2000, (begin, period, costs)


@pytest.mark.parametrize("maker", [name for name in MAKERS if name != "stop"])
def test_the_cut_into_tokens_changes_nothing(maker: str) -> None:
    """Held space is shown or dropped as if it had come in one piece."""
    make = MAKERS[maker]
    for begin, period in (*SHAPES, *random_shapes(60)):
        tokens = [*begin, *islice(cycle(period), 20), "end"]
        one, other = make(), make()
        assert one is not None
        assert other is not None
        assert said(one, tokens) == said(other, ["".join(tokens)]), (begin, period)

"""A template comes from any caller: its cost grows at most linearly, is bounded, and is not the event loop's."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import pytest

from hyperllama.errors import GatewayError
from hyperllama_ollama import template
from hyperllama_ollama.decode import prompting
from hyperllama_ollama.decode.prompting import Turn
from hyperllama_ollama.template.budget import WORK

#: Each kind of node and expression, repeated or nested ``n`` times.
SHAPES: dict[str, Callable[[int], str]] = {
    "comments never closed": lambda n: "{{/*}}" * n,
    "comments": lambda n: "{{/* a */}}" * n,
    "comments of stars": lambda n: "{{/*" + "*/ " * n + "*/}}",
    "comments trimmed": lambda n: "{{- /* a */ -}} " * n,
    "spaces before a comment": lambda n: "{{-" + " " * n + "/*" * n,
    "spaces after a comment": lambda n: ("{{/* */" + " " * 50) * (n // 8) + "}}",
    "openings": lambda n: "{{" * n,
    "openings with quotes": lambda n: '{{"' * n,
    "braces": lambda n: "{{ `" + "}" * n,
    "escapes": lambda n: '{{ "' + "\\\\" * n + "}}",
    "text": lambda n: "x" * n,
    "spaces trimmed": lambda n: ("{{- .Prompt -}}" + " " * 20) * (n // 4),
    "writes": lambda n: "{{.Prompt}}" * (n // 4),
    "constants": lambda n: "{{1}}" * n,
    "long numbers": lambda n: "{{ " + "1" * n + " }}",
    "fields": lambda n: "{{ " + ".a" * n + " }}",
    "words": lambda n: "{{ " + "a " * n + "}}",
    "arguments": lambda n: "{{ and " + "1 " * n + "}}",
    "pipes": lambda n: "{{ 1" + " | not" * n + " }}",
    "parentheses": lambda n: "{{ " + "(" * n + "1" + ")" * n + " }}",
    "pipes in parentheses": lambda n: "{{ " + "(" * n + "1" + " | not)" * n + " }}",
    "ifs": lambda n: "{{if 1}}" * n + "{{end}}" * n,
    "ifs in a row": lambda n: "{{if .Prompt}}a{{else}}b{{end}}" * (n // 4),
    "else ifs": lambda n: "{{if 0}}" + "{{else if 0}}" * n + "{{end}}",
    "ranges": lambda n: "{{range $.Messages}}" * min(n, 40) + "x" + "{{end}}" * min(n, 40),
    "ranges in a row": lambda n: "{{range .Messages}}{{.Content}}{{end}}" * (n // 8),
    "ranges left at once": lambda n: "{{range .Messages}}{{break}}" + "{{$x := 1}}" * n + "{{end}}",
    "assignments": lambda n: "".join(f"{{{{$v{i} := 1}}}}" for i in range(n // 4)),
    "assignments in a loop": lambda n: (
        "".join(f"{{{{$v{i} := 1}}}}" for i in range(n // 4)) + "{{range .Messages}}{{range $.Messages}}{{end}}{{end}}"
    ),
    "doubling": lambda n: '{{$x := "aaaaaaaa"}}' + "{{$x = print $x $x}}" * (n // 8),
    "comparisons": lambda n: "{{eq .Prompt .Again}}" * (n // 4),
    "comparisons of lists": lambda n: "{{eq .Messages .Messages}}" * (n // 4),
    "orderings": lambda n: "{{lt .Prompt .Again}}" * (n // 4),
    "json": lambda n: "{{json .Prompt}}" * (n // 8),
    "json in a loop": lambda n: "{{range .Messages}}{{range $.Messages}}{{$x := json $.Prompt}}{{end}}{{end}}",
    "json of all": lambda n: "{{range .Messages}}{{$x := json $.Messages}}{{end}}",
    "slices": lambda n: "{{$x := slice .Prompt 1}}" * (n // 4),
    "lengths": lambda n: "{{len .Prompt}}" * (n // 4),
    "dates": lambda n: "{{currentDate}}" * (n // 8),
}
SIZES = (1_000, 4_000, 16_000)
FLOOR = 0.02  # seconds of CPU below which nothing is compared
BOUND = 1.5  # seconds of CPU: the deadline, a reading of the text, and a slow machine
SHARE = 8  # of the budget is enough to see growth


def _cost(written: str, turns: list[Turn], rounds: int = 1) -> float:
    best = float("inf")
    gc.disable()  # a collection of all that the tests before left costs more than what is measured
    try:
        for _ in range(rounds):
            began = time.thread_time()
            try:
                prompting.prompt(written, turns, think=None, budget=template.Budget(WORK // SHARE))
            except GatewayError as error:
                assert len(error.message) < 500, "an error repeats the template"
            best = min(best, time.thread_time() - began)
    finally:
        gc.enable()
    return best


@pytest.mark.parametrize("shape", SHAPES)
def test_work_grows_with_the_template_and_has_an_end(shape: str) -> None:
    costs = [_cost(SHAPES[shape](size), _turns(40, 400)) for size in SIZES]
    for less, more in pairwise(costs):
        assert more <= 4 * 2.2 * max(less, FLOOR), costs
    assert costs[-1] < BOUND, costs


@pytest.mark.parametrize("shape", ["json in a loop", "json of all", "comparisons", "ranges", "writes", "slices"])
@pytest.mark.parametrize("many", [True, False], ids=["turns", "long turns"])
def test_work_grows_with_the_conversation_and_has_an_end(shape: str, many: bool) -> None:
    sizes = (25, 100, 400)
    written = SHAPES[shape](400)
    costs = [_cost(written, _turns(size, 100) if many else _turns(4, size * 1000)) for size in sizes]
    for less, more in pairwise(costs):  # a loop in a loop is n * n until the budget ends it
        assert more <= (16 if many else 4) * 2.2 * max(less, FLOOR), costs
    assert costs[-1] < BOUND, costs


def test_turns_of_one_role_are_joined_in_linear_time() -> None:
    costs = [_cost("{{.Prompt}}", [Turn("user", "x" * 50)] * size) for size in (5_000, 20_000, 80_000)]
    assert costs[2] <= 4 * 2.2 * max(costs[1], FLOOR), costs


def test_many_rounds_share_one_budget() -> None:
    turns = [turn for number in range(2_000) for turn in (Turn("user", f"{number}"), Turn("assistant", "x"))]
    with pytest.raises(template.TooMuchWork):
        prompting.prompt("{{if .System}}a{{end}}" * 300 + "{{.Prompt}}{{.Response}}", turns, think=None)


@pytest.mark.parametrize(
    "asked",
    [
        {"template": "{{/*}}" * 8_000},
        {"template": "{{1" + " | not" * 3_000 + "}}"},
        {
            "template": "{{range $.Messages}}" * 10 + "{{$x := json $.Prompt}}" + "{{end}}" * 10,
            "system": "s",
            "prompt": "x" * 400_000,
        },
        {"template": "{{range $.Messages}}" * 40 + "x" + "{{end}}" * 40, "system": "s"},
    ],
    ids=["comments", "pipes", "loops over much text", "loops"],
)
def test_the_event_loop_does_not_render_what_is_much_work(serving: Callable[..., Any], asked: dict[str, str]) -> None:
    gateway = serving('[models.sim]\nengine = "sim"\n')
    body = {"model": "sim", "prompt": "x", "stream": False, **asked}
    gateway.ask("/api/generate", {"model": "sim", "prompt": "x", "stream": False})
    clock = time.pthread_getcpuclockid(gateway._thread.ident)
    before = time.clock_gettime(clock)
    status, _, answer = gateway.ask("/api/generate", body)
    spent = time.clock_gettime(clock) - before
    assert status in (200, 400), answer
    assert spent < 0.15, f"the event loop worked {spent:.2f} s on it"


def _turns(count: int, length: int) -> list[Turn]:
    turns = [Turn("user" if number % 2 else "assistant", "x" * length) for number in range(count)]
    return [Turn("system", "s"), *turns, Turn("user", "y" * length)]

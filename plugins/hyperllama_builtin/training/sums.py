"""Additions and subtractions up to two digits; a pair of numbers lives on one side of the split."""

from __future__ import annotations

from random import Random

from hyperllama_builtin.training.dialogue import Dialogue, Turn
from hyperllama_builtin.training.split import Side, side_of, templates

__all__ = ("sum_dialogue", "sum_question", "worked")

ADD = (
    "What is {a} + {b}?",
    "{a} + {b}",
    "{a}+{b}",
    "{a} + {b} =",
    "What is {a} plus {b}?",
    "Add {a} and {b}.",
    "How much is {a} plus {b}?",
    "Please add {a} and {b}.",
    "Calculate {a} + {b}.",
    "{a} plus {b}",
    "What is the sum of {a} and {b}?",
    "Compute {a} + {b}",
    "{a}+{b}=?",
    "How much is {a} + {b}?",
    "Work out {a} + {b}.",
    "Tell me what {a} + {b} is.",
)
SUBTRACT = (
    "What is {a} - {b}?",
    "{a} - {b}",
    "{a}-{b}",
    "{a} - {b} =",
    "What is {a} minus {b}?",
    "Subtract {b} from {a}.",
    "How much is {a} minus {b}?",
    "Please subtract {b} from {a}.",
    "Calculate {a} - {b}.",
    "{a} minus {b}",
    "What is {a} take away {b}?",
    "Compute {a} - {b}",
    "{a}-{b}=?",
    "How much is {a} - {b}?",
    "Work out {a} - {b}.",
    "Tell me what {a} - {b} is.",
)


def sum_question(rng: Random, side: Side) -> tuple[str, str, int]:
    """A question, the sentence that answers it, and the number in it."""
    sign = rng.choice("+-")
    while True:
        a, b = (_summand(rng) for _ in range(2))
        if sign == "-" and a < b:
            a, b = b, a
        if side_of(f"{a} {sign} {b}") == side:
            break
    answer, result = worked(a, sign, b)
    template = rng.choice(templates(ADD if sign == "+" else SUBTRACT, side))
    return template.format(a=a, b=b), answer, result


def sum_dialogue(rng: Random, side: Side) -> Dialogue:
    """One to four sums in a row."""
    turns: list[Turn] = []
    for _ in range(rng.choice((1, 1, 2, 3, 4))):
        question, answer, _result = sum_question(rng, side)
        turns += (Turn("user", question), Turn("assistant", answer))
    return Dialogue("sums", tuple(turns))


def worked(a: int, sign: str, b: int) -> tuple[str, int]:
    """The answer with its working, tens and ones apart, so that each digit follows from two others."""
    if sign == "+":
        tens, ones, result = a // 10 + b // 10, a % 10 + b % 10, a + b
    else:
        tens, ones, result = a // 10 - b // 10, a % 10 - b % 10, a - b
    if a < 10 and b < 10:
        return f"{a} {sign} {b} = {result}.", result
    return f"{a} {sign} {b} = {10 * tens} {'-' if ones < 0 else '+'} {abs(ones)} = {result}.", result


def _summand(rng: Random) -> int:
    return rng.randint(0, 99) if rng.random() < 0.85 else rng.randint(0, 9)

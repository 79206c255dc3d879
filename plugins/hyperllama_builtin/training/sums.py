"""Additions and subtractions up to two digits; a pair of numbers lives on one side of the split."""

from __future__ import annotations

from random import Random

from hyperllama_builtin.training.dialogue import Dialogue, Turn
from hyperllama_builtin.training.split import Side, phrase, side_of

__all__ = ("sum_dialogue", "sum_question", "worked")

ADD = (
    "What is {a} + {b}?",
    "{a} + {b}",
    "{a}+{b}",
    "{a} [+|plus|and] {b} [=|=?|is|makes|equals]",
    "What is {a} plus {b}?",
    "Add {a} [and|to|plus] {b}.",
    "How much is {a} plus {b}?",
    "Please add {a} and {b}.",
    "[Calculate|Solve|Evaluate] {a} [+|plus] {b}[|.]",
    "{a} plus {b}[|?|.]",
    "[What is|What's|Give me|Find] the [sum|total] of {a} and {b}[|?|.]",
    "Compute {a} [+|plus] {b}[|.]",
    "{a}+{b}=[|?]",
    "[How much|What] [is|are|makes] {a} [+|and] {b}?",
    "Work out {a} + {b}.",
    "Tell me what {a} + {b} is.",
    "[Can you|Could you|Will you] [add|sum|sum up|add up] {a} and {b}?",
    "[I have|There are|I got] {a} and {b}[, how many together|, what is the sum|; add them]?",
    "[Sum|Sum up|Total|Add up] {a} [and|,] {b}[|.]",
    "[Do you know|Quick:|Maths:|Sum:] {a} [+|plus] {b}[|?]",
    "[To {a} add|Increase {a} by] {b}[|.]",
    "[The answer to|The result of|The sum of] {a} [+|and|plus] {b}[|?]",
    "Let me know the result of {a} plus {b}.",
    "I need {a} plus {b}.",
)
SUBTRACT = (
    "What is {a} - {b}?",
    "{a} - {b}",
    "{a}-{b}",
    "{a} [-|minus|less] {b} [=|=?|is|makes|equals]",
    "What is {a} minus {b}?",
    "Subtract {b} from {a}.",
    "How much is {a} minus {b}?",
    "Please subtract {b} from {a}.",
    "[Calculate|Solve|Evaluate] {a} [-|minus] {b}[|.]",
    "{a} minus {b}[|?|.]",
    "What is {a} [take away|less|without] {b}?",
    "Compute {a} [-|minus] {b}[|.]",
    "{a}-{b}=[|?]",
    "[How much|What] [is|are|makes] {a} [-|less] {b}?",
    "Work out {a} - {b}.",
    "Tell me what {a} - {b} is.",
    "[Can you|Could you|Will you] [subtract|take|deduct|take away] {b} from {a}?",
    "[Take|Deduct|Take away|Remove] {b} from {a}[|.]",
    "[What is|What's|Give me|Find] the difference [of|between] {a} and {b}[|?|.]",
    "[Do you know|Quick:|Maths:|Sum:] {a} [-|minus] {b}[|?]",
    "[From {a} take|From {a} subtract|Decrease {a} by|Reduce {a} by] {b}[|.]",
    "[I have|There are|I got] {a} and [lose|give away|take away|remove] {b}[, how many are left|, what remains]?",
    "Let me know the result of {a} minus {b}.",
    "I need {a} minus {b}.",
)


def sum_question(rng: Random, side: Side) -> tuple[str, str, int]:
    """Return a question, the sentence that answers it, and the number in it."""
    sign = rng.choice("+-")
    while True:
        a, b = (_summand(rng) for _ in range(2))
        if sign == "-" and a < b:
            a, b = b, a
        if side_of(f"{a} {sign} {b}") == side:
            break
    answer, result = worked(a, sign, b)
    template = phrase(rng, ADD if sign == "+" else SUBTRACT, side)
    return template.format(a=a, b=b), answer, result


def sum_dialogue(rng: Random, side: Side) -> Dialogue:
    """Return a dialogue of one to four sums in a row."""
    turns: list[Turn] = []
    for _ in range(rng.choice((1, 1, 2, 3, 4))):
        question, answer, _result = sum_question(rng, side)
        turns += (Turn("user", question), Turn("assistant", answer))
    return Dialogue("sums", tuple(turns))


def worked(a: int, sign: str, b: int) -> tuple[str, int]:
    """Return the answer with its working, tens and ones apart, so that each digit follows from two others."""
    if sign == "+":
        tens, ones, result = a // 10 + b // 10, a % 10 + b % 10, a + b
    else:
        tens, ones, result = a // 10 - b // 10, a % 10 - b % 10, a - b
    if a < 10 and b < 10:
        return f"{a} {sign} {b} = {result}.", result
    return f"{a} {sign} {b} = {10 * tens} {'-' if ones < 0 else '+'} {abs(ones)} = {result}.", result


def _summand(rng: Random) -> int:
    return rng.randint(0, 99) if rng.random() < 0.85 else rng.randint(0, 9)

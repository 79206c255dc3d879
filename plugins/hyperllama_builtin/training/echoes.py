"""Repeating and counting: the exercises that teach a model to copy."""

from __future__ import annotations

from random import Random

from hyperllama_builtin.training.dialogue import Dialogue, single
from hyperllama_builtin.training.split import Side, templates
from hyperllama_builtin.training.values import city, email, first_name, number, person, thing, time, word

__all__ = ("echo_dialogue",)

REPEAT = (
    "Repeat after me: {t}",
    "Say {t}",
    "Say: {t}",
    "Repeat: {t}",
    "Echo {t}",
    "Please say {t}",
    "Just say {t}",
    "Reply with: {t}",
)
COUNT = (
    "Count from {a} to {b}.",
    "Count {a} to {b}",
    "Please count from {a} to {b}.",
    "Can you count from {a} to {b}?",
    "Give me the numbers from {a} to {b}.",
    "List the numbers {a} to {b}.",
    "Write the numbers from {a} to {b}.",
    "I want you to count from {a} to {b}.",
)
_MAKERS = (
    person,
    city,
    word,
    word,
    email,
    time,
    thing,
    first_name,
    lambda rng, side: str(number(rng, side)),
)


def echo_dialogue(rng: Random, side: Side) -> Dialogue:
    """A few words to repeat, or a few numbers to count."""
    if rng.random() < 0.2:
        low = rng.choice((1, 1, 1, rng.randint(0, 80)))
        high = low + rng.randint(2, 9 if rng.random() < 0.8 else 19)
        prompt = rng.choice(templates(COUNT, side)).format(a=low, b=high)
        return single("echoes", prompt, ", ".join(str(n) for n in range(low, high + 1)))
    text = " ".join(rng.choice(_MAKERS)(rng, side) for _ in range(rng.randint(1, 6)))
    return single("echoes", rng.choice(templates(REPEAT, side)).format(t=text), text)

"""Repeating and counting: the exercises that teach a model to copy."""

from __future__ import annotations

import json
from random import Random

from hyperllama_builtin.training.dialogue import Dialogue, single
from hyperllama_builtin.training.split import Side, phrase
from hyperllama_builtin.training.values import Maker, city, email, first_name, number, person, thing, time, word

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
AFTER = (
    "{t}. Which word comes after {a}?",
    "What comes after {a} in: {t}?",
    "[In the list|In this list|In] {t}[:|,] what [follows|comes after|is next to] {a}?",
    "[Here is a list|List|Words]: {t}. [What|Which word] [comes after|follows] {a}?",
    "[Name|Give|Tell me|Say] [the word after|what follows] {a}: {t}",
    "{t} - [what|which] [follows|comes after] {a}?",
    "Which comes next after {a} here: {t}?",
    "The words are {t}. What stands after {a}?",
)
WRAP = (
    "[Put|Write] {t} [in|into|as] JSON [as|under|with the key|with key] {k}.",
    "JSON: {k} is {t}",
    "Make JSON[:| where] {k} [is|=|:] {t}",
    "[Set|Store|Save] {k} to {t} in JSON.",
    "[A JSON object|JSON] [with|where] {k} [being|set to|equal to] {t}",
    "{k}: {t}\n[As JSON|To JSON|JSON][|.]",
    "In JSON let {k} be {t}.",
    "Give me JSON in which {k} holds {t}.",
)
_MAKERS: tuple[Maker, ...] = (
    person,
    city,
    word,
    word,
    email,
    time,
    thing,
    first_name,
    number,
)


def echo_dialogue(rng: Random, side: Side) -> Dialogue:
    """Return a dialogue of words to repeat, to search or to put into JSON, or of numbers to count."""
    return rng.choice((_count, _after, _wrap, _wrap, _repeat, _repeat, _repeat))(rng, side)


def _repeat(rng: Random, side: Side) -> Dialogue:
    text = " ".join(_text(rng, side) for _ in range(rng.randint(1, 6)))
    return single("echoes", phrase(rng, REPEAT, side).replace("{t}", text), text)


def _count(rng: Random, side: Side) -> Dialogue:
    low = rng.choice((1, 1, 1, rng.randint(0, 80)))
    high = low + rng.randint(2, 9 if rng.random() < 0.8 else 19)
    prompt = phrase(rng, COUNT, side).format(a=low, b=high)
    return single("echoes", prompt, ", ".join(str(n) for n in range(low, high + 1)))


def _after(rng: Random, side: Side) -> Dialogue:
    words = list(dict.fromkeys(_text(rng, side) for _ in range(rng.randint(3, 7))))
    place = rng.randrange(len(words) - 1) if len(words) > 1 else 0
    prompt = phrase(rng, AFTER, side).replace("{t}", ", ".join(words)).replace("{a}", words[place])
    return single("echoes", prompt, words[min(place + 1, len(words) - 1)])


def _wrap(rng: Random, side: Side) -> Dialogue:
    key, text = word(rng, side), _text(rng, side)
    prompt = phrase(rng, WRAP, side).replace("{k}", key).replace("{t}", text)
    return single("echoes", prompt, json.dumps({key: text}))


def _text(rng: Random, side: Side) -> str:
    return str(rng.choice(_MAKERS)(rng, side))

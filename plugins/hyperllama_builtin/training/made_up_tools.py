"""Tools without familiar names: only the definition says what they are called and what they take."""

from __future__ import annotations

from random import Random
from typing import Any

from hyperllama_builtin.training.gadget import Gadget, Parameter
from hyperllama_builtin.training.listed import listed
from hyperllama_builtin.training.split import Side
from hyperllama_builtin.training.values import Maker, city, email, first_name, large, person, small, thing, title, word

__all__ = ("ASKED", "DECOYS", "made_up_gadget")

#: Parameters that a definition may have and that the prompts say nothing about: to be left out of the call.
DECOYS: dict[str, dict[str, Any]] = {
    "unit": {"type": "string", "enum": ["celsius", "fahrenheit"]},
    "format": {"type": "string", "enum": ["short", "long"]},
    "lang": {"type": "string"},
    "limit": {"type": "integer"},
    "verbose": {"type": "boolean"},
}
ASKED = (
    "What is the {noun} [of|for] {key}?",
    "Get [|me ]the {noun} of {key}.",
    "Tell me the {noun} [of|for] {key}.",
    "Look up the {noun} of {key}.",
    "{noun} [of|for] {key}[| please|?]",
    "Find the {noun} for {key}.",
    "I need the {noun} of {key}.",
    "Which {noun} has {key}?",
    "[Show|Give|Read|Fetch|Return] [|me ]the {noun} [of|for] {key}.",
    "[Can you|Could you] [get|find|tell me|look up] the {noun} [of|for] {key}?",
    "[I want|I would like|Let me know|I am looking for] the {noun} of {key}.",
    "[Do you know|What's|Check] the {noun} [of|for] {key}[|?]",
    "{key}[:|,] [what is the|which|the] {noun}?",
    "For {key} [I need|get|show me|find] the {noun}.",
    "What {noun} does {key} have?",
    "How about the {noun} that belongs to {key}?",
)
_NOUNS = listed(
    """
    humidity, height, price, colour, weight, length, speed, owner, status, size, age, rating, distance,
    temperature, balance, address, score, level, version, rank, title, author, depth, width, cost, value, state,
    history, summary, capital, manager, schedule, menu, manual, salary, budget, phone, birthday, language, currency,
    population, route, traffic, playlist, recipe, licence, origin, warranty, discount, invoice, barcode, mileage
    """
)
_VERBS = ("get", "find", "read", "fetch", "show", "load", "query")
_KEYS: tuple[tuple[tuple[str, ...], Maker, str], ...] = (
    (("city", "town", "place"), city, "string"),
    (("location", "where"), city, "string"),
    (("name", "person", "user", "customer"), person, "string"),
    (("person", "member", "friend"), first_name, "string"),
    (("item", "thing", "article"), thing, "string"),
    (("product", "model", "company", "team"), title, "string"),
    (("id", "key", "code", "index"), large, "integer"),
    (("number", "room", "floor", "page"), small, "integer"),
    (("word", "term", "label", "tag"), word, "string"),
    (("email", "account", "contact"), email, "string"),
)


def made_up_gadget(rng: Random, side: Side) -> Gadget:
    """Return a tool that looks up one thing; at times neither its name nor its parameter's has a meaning."""
    noun = rng.choice(_NOUNS) if rng.random() < 0.5 else word(rng, side)
    keys, make, kind = rng.choice(_KEYS)
    slot = "key"
    prompts = tuple(prompt.replace("{noun}", noun).replace("{key}", "{" + slot + "}") for prompt in ASKED)
    verb = rng.choice(_VERBS)
    return Gadget(
        (f"{verb}_{noun}", f"{noun}_lookup", f"{verb}_{noun}", f"{noun}_of", noun),
        (f"[Get|Find|Look up|Returns|Read|Show] the {noun}[| of something| of a thing]", f"{noun}[| data| service]"),
        {slot: Parameter(keys, kind, make)},
        prompts,
        {noun: large},
        f"The {noun} of {{{slot}}} is {{{noun}}}.",
    )

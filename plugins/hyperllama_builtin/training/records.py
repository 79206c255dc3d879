"""The kinds of records in texts, with the sentences that state them."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random

from hyperllama_builtin.training.listed import listed
from hyperllama_builtin.training.split import Side, phrase
from hyperllama_builtin.training.tables import table
from hyperllama_builtin.training.values import (
    KINDS,
    Maker,
    city,
    day,
    email,
    large,
    person,
    small,
    thing,
    time,
    title,
    word,
)

__all__ = ("RECORDS", "Record", "made_up_record")


@dataclass(frozen=True)
class Record:
    """A kind of record. ``fields`` make the values; each sentence is a ``split.phrase`` pattern with every field."""

    fields: dict[str, Maker]
    sentences: tuple[str, ...]


RECORDS: tuple[Record, ...] = tuple(
    Record({key: KINDS[kind] for key, kind in row["fields"].items()}, tuple(row["sentences"]))
    for row in table("records")["record"]
)

_KEYS: tuple[tuple[str, Maker], ...] = (
    *((key, small) for key in listed("weight, height, size, floor, room, level, points, seats, pages, score, doors")),
    *((key, large) for key in listed("number, code, id, year, distance, salary, rent, budget, speed, total, members")),
    *((key, word) for key in listed("colour, animal, brand, language, material, food, drink, tool, sport, password")),
    *((key, title) for key in listed("book, team, street, project, film, song, model, ship, school, hotel, country")),
    *((key, person) for key in listed("author, owner, doctor, teacher, player, boss, driver, winner, patient")),
    *((key, thing) for key in listed("goods, parts, gifts, cargo")),
    ("place", city),
    ("start", time),
    ("date", day),
    ("contact", email),
)
_VALUES: tuple[Maker, ...] = (small, large, word, title, person, thing, city, time, email)
_CLAUSES = (
    "[the |]{k} is {v}",
    "{k}: {v}",
    "{k} {v}",
    "{k} = {v}",
    "{v} is the {k}",
    "{v} as the {k}",
    "{k} - {v}",
    "with {v} for the {k}",
    "the {k} {v}",
    "[its|my|our|her] {k} is {v}",
    "[we chose|they gave|I took|it has] {v} as {k}",
    "{k} ({v})",
    "[its|our|the] {k} was {v}",
    "{v} for the {k}",
    "the {k} will be {v}",
    "the {k} should be {v}",
)


def made_up_record(rng: Random, side: Side) -> tuple[str, dict[str, object]]:
    """Return a text that assigns values to fields, and its fields; some of their names are made-up words."""
    fields: dict[str, object] = {}
    wanted = rng.randint(2, 5)
    while len(fields) < wanted:
        key, make = rng.choice(_KEYS)
        if rng.random() < 0.4:
            key, make = word(rng, side), rng.choice(_VALUES)
        fields[key] = make(rng, side)
    same, join = phrase(rng, _CLAUSES, side), rng.choice((", ", "; ", " and ", ". ", "\n", ", "))
    mixed = rng.random() < 0.5
    clauses = [
        (phrase(rng, _CLAUSES, side) if mixed else same).replace("{k}", key).replace("{v}", str(value))
        for key, value in fields.items()
    ]
    text = join.join(clauses)
    return text + rng.choice((".", "")), fields

"""The kinds of records that texts hold, with the sentences that tell them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from random import Random

from hyperllama_builtin.training.split import Side
from hyperllama_builtin.training.values import city, day, email, first_name, number, person, thing, time, word

__all__ = ("RECORDS", "Record")

Maker = Callable[[Random, Side], object]


@dataclass(frozen=True)
class Record:
    """``fields`` make the values; each sentence has a slot for every field."""

    fields: dict[str, Maker]
    sentences: tuple[str, ...]


def _small(rng: Random, side: Side) -> object:
    return number(rng, side, 2, 99)


def _large(rng: Random, side: Side) -> object:
    return number(rng, side, 10, 9999)


def _day(rng: Random, side: Side) -> object:
    return day(rng)


def _title(rng: Random, side: Side) -> object:
    return word(rng, side).capitalize()


RECORDS: tuple[Record, ...] = (
    Record(
        {"name": person, "age": _small, "city": city},
        (
            "{name} is {age} years old and lives in {city}.",
            "My name is {name}, I am {age} and I live in {city}.",
            "In {city} lives {name}, aged {age}.",
            "{name} from {city} is {age}.",
            "{name} ({age}) lives in {city}.",
            "I am {name}, {age} years old, from {city}.",
            "Meet {name}, who is {age} and comes from {city}.",
            "{name}, {age}, has a house in {city}.",
        ),
    ),
    Record(
        {"name": first_name, "city": city},
        (
            "{name} lives in {city}.",
            "{name} moved to {city}.",
            "{name} works in {city}.",
            "The home of {name} is {city}.",
            "{name} comes from {city}.",
            "In {city} there is a woman called {name}.",
            "{name} was born in {city}.",
            "{name} has a flat in {city}.",
        ),
    ),
    Record(
        {"item": thing, "quantity": _small, "price": _large},
        (
            "We ordered {quantity} {item} for {price} euros.",
            "Please send {quantity} {item} at a price of {price}.",
            "{quantity} {item} cost {price} dollars.",
            "The bill says {quantity} {item}, total {price}.",
            "I bought {quantity} {item} and paid {price}.",
            "For {price} you get {quantity} {item}.",
            "The order is {quantity} {item}; the price is {price}.",
            "She sold {quantity} {item} for {price} pounds.",
        ),
    ),
    Record(
        {"customer": person, "item": thing, "quantity": _small},
        (
            "{customer} ordered {quantity} {item}.",
            "{quantity} {item} go to {customer}.",
            "An order from {customer}: {quantity} {item}.",
            "{customer} wants {quantity} {item}.",
            "Send {quantity} {item} to {customer}.",
            "{customer} has bought {quantity} {item}.",
            "The customer {customer} asked for {quantity} {item}.",
            "We packed {quantity} {item} for {customer}.",
        ),
    ),
    Record(
        {"name": person, "email": email},
        (
            "Write to {name} at {email}.",
            "The address of {name} is {email}.",
            "{name} can be reached at {email}.",
            "I am {name}, my mail is {email}.",
            "Contact {name} ({email}).",
            "{email} belongs to {name}.",
            "Send the letter to {name}, {email}.",
            "You can mail {name} under {email}.",
        ),
    ),
    Record(
        {"title": _title, "day": _day, "time": time},
        (
            "The meeting {title} is on {day} at {time}.",
            "On {day} at {time} we have {title}.",
            "{title} starts on {day} at {time}.",
            "Come to {title} on {day}, {time}.",
            "{title} takes place on {day} at {time}.",
            "At {time} on {day} there is {title}.",
            "The event {title} begins at {time} on {day}.",
            "{title} was moved to {day}, {time}.",
        ),
    ),
    Record(
        {"product": _title, "price": _large, "stock": _small},
        (
            "The {product} costs {price} euros and {stock} are in stock.",
            "{stock} pieces of {product} are left at {price} each.",
            "{product}: price {price}, stock {stock}.",
            "We have {stock} of the {product} for {price}.",
            "The price of {product} is {price}; there are {stock} left.",
            "You can buy {product} for {price}, we still have {stock}.",
            "There are {stock} {product} in the shop, {price} each.",
            "{product} sells at {price}, with {stock} on the shelf.",
        ),
    ),
    Record(
        {"origin": city, "destination": city, "day": _day},
        (
            "The train goes from {origin} to {destination} on {day}.",
            "I fly from {origin} to {destination} on {day}.",
            "On {day} a bus leaves {origin} for {destination}.",
            "We travel to {destination} from {origin} on {day}.",
            "A ticket from {origin} to {destination} for {day}.",
            "{day}: {origin} to {destination}.",
            "They go by ship from {origin} to {destination} on {day}.",
            "On {day} she drives from {origin} to {destination}.",
        ),
    ),
    Record(
        {"company": _title, "city": city, "employees": _large},
        (
            "{company} is based in {city} and has {employees} employees.",
            "The company {company} in {city} employs {employees} people.",
            "{employees} people work for {company} in {city}.",
            "In {city}, {company} has {employees} workers.",
            "{company} of {city} has a staff of {employees}.",
            "With {employees} employees, {company} is the largest firm in {city}.",
            "{company} opened an office in {city} for {employees} people.",
            "From {city} comes {company}, a firm of {employees}.",
        ),
    ),
)

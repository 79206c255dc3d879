"""The tools that appear in training: names and parameter names vary, so that the model reads the definition."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from random import Random
from typing import Any

from hyperllama_builtin.training.listed import listed
from hyperllama_builtin.training.split import Side
from hyperllama_builtin.training.values import city, day, email, first_name, number, person, thing, time, word

__all__ = ("DECOYS", "TOOLBOX", "Gadget", "Parameter", "made_up_gadget")

Maker = Callable[[Random, Side], object]


@dataclass(frozen=True)
class Parameter:
    """``names`` are what its JSON key may be called."""

    names: tuple[str, ...]
    kind: str
    make: Maker


@dataclass(frozen=True)
class Gadget:
    """A tool before its names are chosen; slots in ``prompts``, ``reply`` are keys of ``parameters`` or ``results``."""

    names: tuple[str, ...]
    descriptions: tuple[str, ...]
    parameters: dict[str, Parameter]
    prompts: tuple[str, ...]
    results: dict[str, Maker]
    reply: str


def _small(rng: Random, side: Side) -> object:
    return number(rng, side, 2, 60)


def _large(rng: Random, side: Side) -> object:
    return number(rng, side, 10, 9999)


def _day(rng: Random, side: Side) -> object:
    return day(rng)


def _title(rng: Random, side: Side) -> object:
    return word(rng, side).capitalize()


def _sky(rng: Random, side: Side) -> object:
    return rng.choice(("sunny", "cloudy", "rainy", "windy", "foggy", "clear"))


def _currency(rng: Random, side: Side) -> object:
    return rng.choice(("EUR", "USD", "GBP", "JPY", "CHF", "SEK"))


def _tongue(rng: Random, side: Side) -> object:
    return rng.choice(("French", "German", "Spanish", "Italian", "Polish", "Dutch"))


def _room(rng: Random, side: Side) -> object:
    return rng.choice(("kitchen", "bedroom", "office", "garage", "hall", "cellar"))


_CITY = Parameter(("city", "city", "location", "place"), "string", city)

TOOLBOX: tuple[Gadget, ...] = (
    Gadget(
        ("get_weather", "get_weather", "weather", "get_current_weather", "weather_lookup"),
        ("Get the weather in a city", "Current weather", "Get the current weather", "Look up the weather of a place"),
        {"city": _CITY},
        (
            "What is the weather in {city}?",
            "How is the weather in {city}?",
            "What's the weather like in {city}?",
            "Is it raining in {city}?",
            "Tell me the weather in {city}.",
            "Weather in {city} please",
            "Will I need an umbrella in {city}?",
            "How warm is it in {city}?",
            "Check the weather for {city}.",
            "I am going to {city}. How is the weather?",
            "Give me the weather of {city}.",
            "What weather does {city} have today?",
            "Look up the weather in {city}.",
            "Is it cold in {city}?",
            "Please find out the weather in {city}.",
            "Could you tell me the current weather in {city}?",
        ),
        {"sky": _sky, "temperature": _small},
        "It is {sky} in {city}, {temperature} degrees.",
    ),
    Gadget(
        ("send_email", "send_mail", "email", "mail_to"),
        ("Send an email", "Send a mail to somebody", "Write an email", "Send a message by email"),
        {
            "to": Parameter(("to", "recipient", "address"), "string", email),
            "subject": Parameter(("subject", "title", "topic"), "string", _title),
        },
        (
            "Send an email to {to} about {subject}.",
            "Write to {to} with the subject {subject}.",
            "Email {to} about {subject}.",
            "Please mail {to}, subject {subject}.",
            "Send a mail with the subject {subject} to {to}.",
            "Let {to} know about {subject} by email.",
            "Compose a mail to {to} on {subject}.",
            "I want to write an email about {subject} to {to}.",
        ),
        {"id": _large},
        "The email to {to} was sent.",
    ),
    Gadget(
        ("set_timer", "start_timer", "timer", "countdown"),
        ("Set a timer", "Start a timer", "Start a countdown", "Set a timer in minutes"),
        {"minutes": Parameter(("minutes", "duration", "length"), "integer", _small)},
        (
            "Set a timer for {minutes} minutes.",
            "Start a timer of {minutes} minutes.",
            "Timer for {minutes} minutes please",
            "Wake me in {minutes} minutes.",
            "Count down {minutes} minutes.",
            "I need a timer for {minutes} minutes.",
            "Give me a {minutes} minutes timer.",
            "Please set the timer to {minutes} minutes.",
        ),
        {"id": _large},
        "The timer runs for {minutes} minutes.",
    ),
    Gadget(
        ("convert_currency", "exchange", "convert_money", "currency"),
        ("Convert money", "Convert an amount into another currency", "Exchange money", "Currency conversion"),
        {
            "amount": Parameter(("amount", "value", "sum"), "integer", _large),
            "source": Parameter(("from", "source", "from_currency"), "string", _currency),
            "target": Parameter(("to", "target", "to_currency"), "string", _currency),
        },
        (
            "Convert {amount} {source} to {target}.",
            "How much is {amount} {source} in {target}?",
            "Change {amount} {source} into {target}.",
            "What are {amount} {source} worth in {target}?",
            "Exchange {amount} {source} for {target}.",
            "I have {amount} {source}. How many {target} is that?",
            "Please convert {amount} {source} into {target}.",
            "Turn {amount} {source} into {target}.",
        ),
        {"result": _large},
        "{amount} {source} are {result} {target}.",
    ),
    Gadget(
        ("search_web", "search", "web_search", "find_pages"),
        ("Search the web", "Search the internet", "Find pages on the web", "Look something up on the web"),
        {"query": Parameter(("query", "query", "q", "text"), "string", _title)},
        (
            "Search the web for {query}.",
            "Look up {query} on the web.",
            "Find pages about {query}.",
            "Google {query}.",
            "Search for {query} on the internet.",
            "Please search {query}.",
            "Do a web search for {query}.",
            "What does the internet say about {query}?",
        ),
        {"pages": _small},
        "I found {pages} pages about {query}.",
    ),
    Gadget(
        ("add_event", "create_event", "calendar_add", "schedule"),
        (
            "Add an event to the calendar",
            "Create a calendar event",
            "Schedule an event",
            "Put a date into the calendar",
        ),
        {
            "title": Parameter(("title", "name", "event"), "string", _title),
            "day": Parameter(("day", "date"), "string", _day),
            "time": Parameter(("time", "hour", "start"), "string", time),
        },
        (
            "Add {title} to my calendar on {day} at {time}.",
            "Schedule {title} for {day} at {time}.",
            "Put {title} into the calendar, {day} {time}.",
            "On {day} at {time} I have {title}, note it in the calendar.",
            "Create an event {title} on {day} at {time}.",
            "Plan {title} on {day}, {time}.",
            "Book {title} on {day} at {time} in my calendar.",
            "Enter {title} for {day} at {time}.",
        ),
        {"id": _large},
        "{title} is in the calendar on {day} at {time}.",
    ),
    Gadget(
        ("translate", "translate_text", "translation", "get_translation"),
        ("Translate a text", "Translate a word into a language", "Translation into another language", "Translate"),
        {
            "text": Parameter(("text", "word", "phrase"), "string", word),
            "language": Parameter(("language", "target", "to"), "string", _tongue),
        },
        (
            "Translate {text} into {language}.",
            "What is {text} in {language}?",
            "How do you say {text} in {language}?",
            "Give me {text} in {language}.",
            "I need {text} in {language}.",
            "Say {text} in {language}.",
            "Please translate {text} to {language}.",
            "What does {text} become in {language}?",
        ),
        {"translation": word},
        "In {language} that is {translation}.",
    ),
    Gadget(
        ("get_stock", "get_stock_price", "stock_price", "quote"),
        ("Get the price of a share", "Get a stock price", "Price of a stock", "Current price of a share"),
        {"company": Parameter(("company", "symbol", "name"), "string", _title)},
        (
            "What is the stock price of {company}?",
            "How much is a share of {company}?",
            "Get the stock price of {company}.",
            "How is the stock of {company} doing?",
            "Share price of {company}",
            "What do {company} shares cost?",
            "Tell me the price of the {company} stock.",
            "At what price does {company} stock trade?",
        ),
        {"price": _large},
        "A share of {company} costs {price}.",
    ),
    Gadget(
        ("create_note", "add_note", "save_note", "note"),
        ("Save a note", "Create a note", "Write a note down", "Keep a note"),
        {"text": Parameter(("text", "content", "note"), "string", _title)},
        (
            "Make a note: {text}",
            "Note down {text}.",
            "Save a note that says {text}.",
            "Remember {text} for me in a note.",
            "Create a note with {text}.",
            "Write {text} into my notes.",
            "Keep a note of {text}.",
            "Add {text} to my notes.",
        ),
        {"id": _large},
        "I saved the note {text}.",
    ),
    Gadget(
        ("turn_on_light", "light_on", "switch_light", "lamp_on"),
        ("Turn on the light in a room", "Switch on a light", "Switch on the lamp of a room", "Light a room"),
        {"room": Parameter(("room", "where", "place"), "string", _room)},
        (
            "Turn on the light in the {room}.",
            "Switch on the lamp in the {room}.",
            "Light in the {room} please",
            "It is dark in the {room}, make light.",
            "Please turn the {room} light on.",
            "I want light in the {room}.",
            "Switch the {room} light on.",
            "Make the {room} bright.",
        ),
        {"state": lambda rng, side: "on"},
        "The light in the {room} is {state}.",
    ),
    Gadget(
        ("get_time", "get_current_time", "clock", "local_time"),
        ("Get the time in a city", "Current time", "Local time of a place", "What time it is in a city"),
        {"city": _CITY},
        (
            "What time is it in {city}?",
            "Tell me the time in {city}.",
            "How late is it in {city}?",
            "Current time in {city}",
            "What is the local time in {city}?",
            "Give me the time of {city}.",
            "Which time do they have in {city}?",
            "What does the clock say in {city}?",
        ),
        {"time": time},
        "It is {time} in {city}.",
    ),
    Gadget(
        ("order_item", "buy", "place_order", "purchase"),
        ("Order something", "Buy things", "Place an order", "Order a number of things"),
        {
            "item": Parameter(("item", "product", "thing"), "string", thing),
            "quantity": Parameter(("quantity", "count", "amount"), "integer", _small),
        },
        (
            "Order {quantity} {item}.",
            "Buy {quantity} {item}.",
            "I want {quantity} {item}.",
            "Please order {quantity} {item} for me.",
            "We need {quantity} {item}, order them.",
            "Get me {quantity} {item}.",
            "Purchase {quantity} {item}.",
            "Place an order for {quantity} {item}.",
        ),
        {"total": _large},
        "I ordered {quantity} {item} for {total}.",
    ),
    Gadget(
        ("call_person", "phone", "make_call", "dial"),
        ("Call somebody", "Make a phone call", "Phone a person", "Call a person on the phone"),
        {"name": Parameter(("name", "person", "contact"), "string", person)},
        (
            "Call {name}.",
            "Phone {name} please.",
            "I want to speak to {name}, call them.",
            "Make a call to {name}.",
            "Ring {name}.",
            "Please call {name} on the phone.",
            "Get {name} on the phone.",
            "Start a call with {name}.",
        ),
        {"state": lambda rng, side: "ringing"},
        "I am calling {name}.",
    ),
    Gadget(
        ("find_user", "get_user", "user_lookup", "lookup_user"),
        ("Find a user by id", "Get the data of a user", "Look up a user", "Read a user from the database"),
        {"id": Parameter(("id", "user_id", "number"), "integer", _large)},
        (
            "Find the user with id {id}.",
            "Who is user {id}?",
            "Look up user {id}.",
            "Show me user number {id}.",
            "Get the data of user {id}.",
            "Which name has user {id}?",
            "Fetch user {id}.",
            "Tell me about user {id}.",
        ),
        {"name": first_name},
        "User {id} is {name}.",
    ),
    Gadget(
        ("book_flight", "reserve_flight", "flight", "find_flight"),
        ("Book a flight", "Reserve a flight between two cities", "Flight booking", "Find a flight"),
        {
            "origin": Parameter(("from", "origin", "from_city"), "string", city),
            "destination": Parameter(("to", "destination", "to_city"), "string", city),
        },
        (
            "Book a flight from {origin} to {destination}.",
            "I want to fly from {origin} to {destination}.",
            "Find me a flight from {origin} to {destination}.",
            "Fly me from {origin} to {destination}.",
            "Reserve a flight to {destination} from {origin}.",
            "A flight from {origin} to {destination} please",
            "Get a flight from {origin} to {destination}.",
            "I need to fly to {destination} from {origin}.",
        ),
        {"number": _large},
        "Flight {number} goes from {origin} to {destination}.",
    ),
    Gadget(
        ("play_music", "play_song", "music", "play"),
        ("Play music", "Play a song", "Play music of an artist", "Start some music"),
        {"artist": Parameter(("artist", "artist", "name", "band"), "string", _title)},
        (
            "Play music by {artist}.",
            "Play {artist}.",
            "I want to hear {artist}.",
            "Put on some {artist}.",
            "Start the music of {artist}.",
            "Play a song by {artist}.",
            "Let me listen to {artist}.",
            "Play something from {artist}.",
        ),
        {"state": lambda rng, side: "playing"},
        "Now playing {artist}.",
    ),
    Gadget(
        ("add", "add_numbers", "sum_numbers", "plus"),
        ("Add two numbers", "Add two integers", "Sum of two numbers", "Compute a sum"),
        {
            "a": Parameter(("a", "x", "first"), "integer", _large),
            "b": Parameter(("b", "y", "second"), "integer", _large),
        },
        (
            "What is {a} plus {b}?",
            "Add {a} and {b}.",
            "What is {a} + {b}?",
            "{a} + {b}",
            "Please add {a} and {b} with the tool.",
            "Sum {a} and {b}.",
            "How much is {a} plus {b}?",
            "Compute {a} + {b}.",
        ),
        {"result": _large},
        "The result is {result}.",
    ),
)

#: Parameters that a definition may have and that the prompts say nothing about: to be left out of the call.
DECOYS: dict[str, dict[str, Any]] = {
    "unit": {"type": "string", "enum": ["celsius", "fahrenheit"]},
    "format": {"type": "string", "enum": ["short", "long"]},
    "lang": {"type": "string"},
    "limit": {"type": "integer"},
    "verbose": {"type": "boolean"},
}
_NOUNS = listed(
    """
    humidity, height, price, colour, weight, length, speed, owner, status, size, age, rating, distance,
    temperature, balance, address, score, level, version, rank, title, author, depth, width, cost, value, state,
    history, summary
    """
)
_KEYS: tuple[tuple[str, Maker, str], ...] = (
    ("city", city, "string"),
    ("location", city, "string"),
    ("name", person, "string"),
    ("person", first_name, "string"),
    ("item", thing, "string"),
    ("product", _title, "string"),
    ("id", _large, "integer"),
    ("number", _small, "integer"),
    ("word", word, "string"),
    ("email", email, "string"),
)
_ASKED = (
    "What is the {noun} of {key}?",
    "Get the {noun} of {key}.",
    "Tell me the {noun} of {key}.",
    "Look up the {noun} of {key}.",
    "{noun} of {key} please",
    "Find the {noun} for {key}.",
    "I need the {noun} of {key}.",
    "Which {noun} has {key}?",
)


def made_up_gadget(rng: Random, side: Side) -> Gadget:
    """A tool that looks one thing up: no name to remember, everything is in the definition."""
    noun = rng.choice(_NOUNS) if rng.random() < 0.6 else word(rng, side)
    key, make, kind = rng.choice(_KEYS)
    prompts = tuple(prompt.replace("{noun}", noun).replace("{key}", "{" + key + "}") for prompt in _ASKED)
    return Gadget(
        (f"get_{noun}", f"{noun}_lookup", f"find_{noun}", f"read_{noun}"),
        (f"Get the {noun}", f"Find the {noun} of something", f"Look up the {noun}", f"Returns the {noun}"),
        {key: Parameter((key,), kind, make)},
        prompts,
        {noun: _large},
        f"The {noun} of {{{key}}} is {{{noun}}}.",
    )

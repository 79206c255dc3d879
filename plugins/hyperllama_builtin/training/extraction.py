"""Texts with fields in them, and the JSON object that a request for those fields should get."""

from __future__ import annotations

import json
from random import Random

from hyperllama_builtin.training.dialogue import Dialogue, single
from hyperllama_builtin.training.records import RECORDS
from hyperllama_builtin.training.split import Side, templates

__all__ = ("extraction", "extraction_dialogue")

REQUESTS = (
    "Extract {keys} as JSON: {text}",
    "Give me {keys} as JSON. {text}",
    "{text} Extract {keys} as JSON.",
    "Return {keys} in JSON from this text: {text}",
    "From the text, extract {keys} as a JSON object. Text: {text}",
    "{text}\nWrite {keys} as JSON.",
    "Find {keys} in this text and answer in JSON: {text}",
    "Turn this into JSON with {keys}: {text}",
    "JSON with {keys}: {text}",
    "Read this and reply with JSON holding {keys}: {text}",
    "{text} Return a JSON object with {keys}.",
    "Extract the fields {keys} as JSON from: {text}",
    "Please extract {keys} as JSON.\n{text}",
    "{text} Give {keys} in JSON.",
    "Pull {keys} out of this text as JSON: {text}",
    "Make a JSON object with {keys} out of this: {text}",
)


def extraction(rng: Random, side: Side) -> tuple[str, dict[str, object]]:
    """A request and the object that it asks for, keys in the order of the request."""
    record = rng.choice(RECORDS)
    values = {key: make(rng, side) for key, make in record.fields.items()}
    text = rng.choice(templates(record.sentences, side)).format(**values)
    keys = list(values)
    rng.shuffle(keys)
    keys = keys[: rng.randint(min(2, len(keys)), len(keys))]
    listed = _listed(keys, comma=rng.random() < 0.5)
    request = rng.choice(templates(REQUESTS, side)).format(keys=listed, text=text)
    return request, {key: values[key] for key in keys}


def extraction_dialogue(rng: Random, side: Side) -> Dialogue:
    request, wanted = extraction(rng, side)
    return single("extraction", request, json.dumps(wanted, ensure_ascii=False))


def _listed(keys: list[str], *, comma: bool) -> str:
    return ", ".join(keys) if comma else ", ".join(keys[:-1]) + " and " + keys[-1]

"""Texts with fields in them, and the JSON object that a request for those fields should get."""

from __future__ import annotations

import json
from random import Random

from hyperllama_builtin.training.dialogue import Dialogue, single
from hyperllama_builtin.training.records import RECORDS, made_up_record
from hyperllama_builtin.training.split import Side, phrase
from hyperllama_builtin.training.values import led

__all__ = ("extraction", "extraction_dialogue")

REQUESTS = (
    "[Extract|Please extract|Fetch|Now extract] {keys} [as|in|into] JSON: {text}",
    "[Give|Send|Hand] me {keys} [as|in] JSON[.|:|,] {text}",
    "{text} [Extract|Please extract|Copy|Fetch] {keys} as JSON.",
    "Return {keys} in JSON from [this text|this|the text|the note|this line]: {text}",
    "From [the|this] text, [extract|take|copy|return] {keys} as [a JSON object|JSON]. Text: {text}",
    "{text}\n[Write|Print|Give|Show|Return] {keys} [as|in] JSON.",
    "Find {keys} in this text and answer in JSON: {text}",
    "Turn this into JSON with {keys}: {text}",
    "JSON [with|of|for|holding] {keys}: {text}",
    "[Read this|Read the text|Look at this] and [reply|answer] with JSON [holding|for|with] {keys}: {text}",
    "{text} [Return|Make|Write|Send] a JSON object with {keys}.",
    "[Extract|List|Find] the [fields|values|keys] {keys} as JSON from: {text}",
    "[Please extract|I want|I need|Show me] {keys} as JSON.\n{text}",
    "{text} [Give|Get|Name|Tell] [me |]{keys} in JSON.",
    "Pull {keys} out of this text as JSON: {text}",
    "Make a JSON object with {keys} out of this: {text}",
    "[What are|Which are] {keys}? [Answer|Reply|Respond] [in|with|as] JSON. {text}",
    "{text} [What are|Name] {keys}? [Use JSON|JSON please|As JSON|In JSON][.|]",
    "Text: {text}\n[Fields|Keys|Wanted]: {keys}\n[JSON:|Answer in JSON.|Output JSON.]",
    "[Parse|Scan|Analyse|Convert|Transform] this [into|to] JSON [with the keys|with keys|using] {keys}: {text}",
    "[Here is a text|Here is a note|A text]: {text} [I need|I want|Give me] {keys} [as|in] JSON.",
    "[JSON please|As JSON|In JSON|JSON only], {keys}: {text}",
    "Write down {keys} from the following as JSON: {text}",
    "Answer with a JSON object that has {keys} of this text: {text}",
    '"{text}" [Extract|Return|Give me|Take] {keys} as JSON.',
    "{keys} [as JSON|in JSON|to JSON][ please|][:|.] {text}",
    "[Only|Just] {keys} [as|in] JSON[ please|]: {text}",
    "[Get|Take|Collect|Pick|Copy] {keys} from [this|the text|the line|what follows] [as|in|into] JSON: {text}",
    "Convert to JSON: {text} [Keys|Fields]: {keys}.",
    "[Fill|Build|Create|Produce] [a JSON object|JSON] [with|from] {keys} [from|for|using] [this|the text]: {text}",
    "Which {keys} does this text hold? Use JSON: {text}",
    "Read {keys} from this sentence and give JSON: {text}",
)
#: Padding around the text in training, which no request asks for.
_BEFORE = (
    *("Hello. ", "Hi! ", "As you know, ", "By the way, ", "Note: ", "I heard that ", "They say: ", "News: "),
    *("Message 3: ", "Good morning. ", "It is true: ", "From my diary: ", "Well, ", "Dear all, "),
    *("The weather is fine. ", "Here is some news. ", "Look: ", "We are happy today. ", "Listen! "),
    *("You asked me. ", "- ", "1. ", "* "),
)
_AFTER = (
    *(" Thank you.", " See you soon!", " That is all.", " I hope this helps.", " Please tell the others."),
    *(" What a day!", " It rained a lot.", " We had soup.", " Best wishes", " Let me know.", " Call me later."),
    *(" More soon.", " (urgent)"),
)


def extraction(rng: Random, side: Side) -> tuple[str, dict[str, object]]:
    """Return a request and the object that it asks for, keys in the order of the request."""
    record = rng.choice(RECORDS)
    values = {key: make(rng, side) for key, make in record.fields.items()}
    text = phrase(rng, record.sentences, side).format(**values)
    return _request(rng, side, text, values)


def extraction_dialogue(rng: Random, side: Side) -> Dialogue:
    """Return a dialogue like the exam's, or one with made-up fields and padding, which teaches where values end."""
    if rng.random() < 0.15:
        text, values = made_up_record(rng, side)
        request, wanted = _request(rng, side, text, values)
    elif rng.random() < 0.5:
        record = rng.choice(RECORDS)
        values = {key: make(rng, side) for key, make in record.fields.items()}
        text = phrase(rng, record.sentences, side).format(**values)
        if rng.random() < 0.6:
            text = led(rng, text)
        before, after = rng.choice(_BEFORE), rng.choice(_AFTER)
        text = rng.choice((text, before + text, text + after, before + text + after))
        request, wanted = _request(rng, side, text, values)
    else:
        request, wanted = extraction(rng, side)
    return single("extraction", request, json.dumps(wanted, ensure_ascii=False))


def _request(rng: Random, side: Side, text: str, values: dict[str, object]) -> tuple[str, dict[str, object]]:
    keys = list(values)
    rng.shuffle(keys)
    keys = keys[: rng.randint(min(2, len(keys)), len(keys))]
    listed = _listed(rng, side, keys)
    request = phrase(rng, REQUESTS, side).replace("{keys}", listed).replace("{text}", text)
    return request, {key: values[key] for key in keys}


def _listed(rng: Random, side: Side, keys: list[str]) -> str:
    """Return the keys as a list in words: one of two forms on the test side, one of six on the others."""
    ways = 2 if side == "test" else 6
    match rng.randrange(ways):
        case 0:
            return ", ".join(keys)
        case 1:
            return ", ".join(keys[:-1]) + " and " + keys[-1]
        case 2:
            return "the " + ", the ".join(keys[:-1]) + " and the " + keys[-1]
        case 3:
            return "the " + ", ".join(keys[:-1]) + " and " + keys[-1]
        case 4:
            return " and ".join(keys)
        case _:
            return ", ".join(f'"{key}"' for key in keys)

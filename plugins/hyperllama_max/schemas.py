"""Output formats in xgrammar's terms, within bounds, so that no request holds up the engine."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import Any, Final, assert_never

from hyperllama.errors import InvalidRequest
from hyperllama.generation import AnyJson, Choice, Grammar, JsonSchema, OutputFormat, Regex, ToolSpec

MAX_BYTES: Final = 64 * 1024
MAX_DEPTH: Final = 16
MAX_PATTERN: Final = 4 * 1024
MAX_REPEAT: Final = 10_000  # of minItems and the like
MAX_WEIGHT: Final = 10_000  # states of the automaton, roughly: its memory grows with their square, to gigabytes
_UNROLLED: Final = 129  # longer repetitions are counted in another way than by a state for each
_REPEAT: Final = re.compile(r"[{,]([0-9]{1,9})(?=[,}])")
_COUNTS: Final = frozenset({"minItems", "maxItems", "minLength", "maxLength", "minProperties", "maxProperties"})
_STYLE: Final = {"any_whitespace": False, "separators": [", ", ": "], "reject_unsupported": True}


def of_output(output: OutputFormat) -> dict[str, Any]:
    """Return a structural-tag format. Raise InvalidRequest for one that is out of bounds."""
    match output:
        case AnyJson():
            return _json({"type": "object"})
        case JsonSchema(schema):
            _bound(schema, "response_format")
            return _json(schema)
        case Regex(pattern):
            _pattern(pattern, "guided_regex")
            return {"type": "regex", "pattern": pattern}
        case Choice(options):
            if not options or any(not option for option in options):
                raise InvalidRequest("The choices must be texts that are not empty.", param="guided_choice")
            _size("".join(options), "guided_choice")
            return {"type": "or", "elements": [{"type": "const_string", "value": option} for option in options]}
        case Grammar(text):
            _size(text, "guided_grammar")
            _weighed(_repeats(text), "guided_grammar")
            return {"type": "grammar", "grammar": text}
    assert_never(output)


def of_call(tools: Sequence[ToolSpec], prefixes: Sequence[str], suffix: str) -> dict[str, Any]:
    """Return the format of exactly one call of ``tools``: prefix, arguments that fit its schema, ``suffix``."""
    elements, weight = [], 0
    for tool, prefix in zip(tools, prefixes, strict=True):
        schema = {**tool.parameters, "type": "object"} if isinstance(tool.parameters, dict) else {"type": "object"}
        weight = _weighed(weight + _bound(schema, "tools"), "tools")
        elements.append(
            {
                "type": "sequence",
                "elements": [
                    {"type": "const_string", "value": prefix},
                    _json(schema),
                    {"type": "const_string", "value": suffix},
                ],
            }
        )
    return elements[0] if len(elements) == 1 else {"type": "or", "elements": elements}


def _json(schema: Any) -> dict[str, Any]:
    return {"type": "json_schema", "json_schema": schema, **_STYLE}


def _bound(schema: Any, param: str) -> int:
    """Return the weight of a schema. Raise InvalidRequest when it is too large, too deep or too heavy."""
    weight, depth, level = 0, 0, [schema]
    while level:
        depth += 1
        if depth > MAX_DEPTH * 2:  # a level of schema is a keyword and what it holds
            raise InvalidRequest(f"The schema is nested deeper than {MAX_DEPTH} levels.", param=param)
        below: list[Any] = []
        for node in level:
            if isinstance(node, dict):
                weight += _keywords(node, param)
                below += [value for value in node.values() if isinstance(value, dict | list)]
            else:
                below += [value for value in node if isinstance(value, dict | list)]
        level = below
    try:
        _size(json.dumps(schema, ensure_ascii=False), param)
    except (TypeError, ValueError, RecursionError) as error:
        raise InvalidRequest("The schema is no JSON.", param=param) from error
    return _weighed(weight, param)


def _keywords(node: dict[str, Any], param: str) -> int:
    weight = 0
    for key in _COUNTS & node.keys():
        if isinstance(node[key], int | float):
            if node[key] > MAX_REPEAT:
                raise InvalidRequest(f"{key} may be at most {MAX_REPEAT}.", param=param)
            weight += min(int(node[key]), _UNROLLED)
    if isinstance(node.get("pattern"), str):
        weight += _pattern(node["pattern"], param)
    return weight


def _pattern(pattern: str, param: str) -> int:
    if not pattern:
        raise InvalidRequest("The pattern is empty.", param=param)
    if len(pattern.encode("utf-8", "surrogatepass")) > MAX_PATTERN:
        raise InvalidRequest(f"The pattern is longer than {MAX_PATTERN} bytes.", param=param)
    return _weighed(2 * (len(pattern) + _repeats(pattern)), param)  # a character of it may be several bytes


def _repeats(text: str) -> int:
    """Return the sum of the repetitions that ``{1,100}`` and its like ask for."""
    return sum(min(int(number), _UNROLLED) for number in _REPEAT.findall(text))


def _weighed(weight: int, param: str) -> int:
    if weight > MAX_WEIGHT:
        raise InvalidRequest(
            "The format's lengths, counts and patterns add up to more than can be enforced; make it simpler.",
            param=param,
        )
    return weight


def _size(text: str, param: str) -> None:
    if len(text.encode("utf-8", "surrogatepass")) > MAX_BYTES:
        raise InvalidRequest(f"The format is larger than {MAX_BYTES} bytes.", param=param)


__all__ = ("MAX_BYTES", "MAX_DEPTH", "MAX_PATTERN", "MAX_REPEAT", "MAX_WEIGHT", "of_call", "of_output")

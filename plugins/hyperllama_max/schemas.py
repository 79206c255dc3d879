"""Output formats in xgrammar's terms, within bounds, so that no request holds up the engine."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, Final, assert_never

from hyperllama.errors import InvalidRequest
from hyperllama.generation import AnyJson, Choice, Grammar, JsonSchema, OutputFormat, Regex, ToolSpec
from hyperllama.schemas import MAX_BYTES, MAX_PATTERN, MAX_WEIGHT, enforced_calls, enforced_output

_UNROLLED: Final = 129  # longer repetitions are counted in another way than by a state for each
_REPEAT: Final = re.compile(r"[{,]([0-9]{1,9})(?=[,}])")
_STYLE: Final = {"any_whitespace": False, "separators": [", ", ": "], "reject_unsupported": True}


def of_output(output: OutputFormat, *, heaviest: int = MAX_WEIGHT) -> dict[str, Any]:
    """Return a structural-tag format. Raise InvalidRequest for one that is out of bounds.

    ``heaviest``: the weight of a schema's lengths, counts and patterns that is left.
    """
    match output:
        case AnyJson():
            return _json({"type": "object"})
        case JsonSchema():
            return _json(enforced_output(output, heaviest=heaviest).schema)
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


def of_call(
    tools: Sequence[ToolSpec], prefixes: Sequence[str], suffix: str, *, heaviest: int = MAX_WEIGHT
) -> dict[str, Any]:
    """Return the format of exactly one call of ``tools``: prefix, arguments that fit its schema, ``suffix``."""
    elements = [
        {
            "type": "sequence",
            "elements": [
                {"type": "const_string", "value": prefix},
                _json(arguments.schema),
                {"type": "const_string", "value": suffix},
            ],
        }
        for arguments, prefix in zip(enforced_calls(tools, heaviest=heaviest), prefixes, strict=True)
    ]
    return elements[0] if len(elements) == 1 else {"type": "or", "elements": elements}


def _json(schema: Any) -> dict[str, Any]:
    return {"type": "json_schema", "json_schema": schema, **_STYLE}


def _pattern(pattern: str, param: str) -> None:
    if not pattern:
        raise InvalidRequest("The pattern is empty.", param=param)
    if len(pattern.encode("utf-8", "surrogatepass")) > MAX_PATTERN:
        raise InvalidRequest(f"The pattern is longer than {MAX_PATTERN} bytes.", param=param)
    _weighed(2 * (len(pattern) + _repeats(pattern)), param)  # a character of it may be several bytes


def _repeats(text: str) -> int:
    """Return the sum of the repetitions that ``{1,100}`` and its like ask for."""
    return sum(min(int(number), _UNROLLED) for number in _REPEAT.findall(text))


def _weighed(weight: int, param: str) -> None:
    if weight > MAX_WEIGHT:
        raise InvalidRequest(
            "The format's lengths, counts and patterns add up to more than can be enforced; make it simpler.",
            param=param,
        )


def _size(text: str, param: str) -> None:
    if len(text.encode("utf-8", "surrogatepass")) > MAX_BYTES:
        raise InvalidRequest(f"The format is larger than {MAX_BYTES} bytes.", param=param)


__all__ = ("of_call", "of_output")

"""Answers against the schema that was sent: any draft, no look-ups, bounded."""

from __future__ import annotations

import json
from typing import Any

import pytest

from hyperllama.schemas import check


@pytest.mark.parametrize(
    ("schema", "value", "verdict"),
    [
        ({"uniqueItems": True}, [1, 1.0], "invalid"),
        ({"uniqueItems": True}, [1, True, "1"], "valid"),
        ({"multipleOf": 0.01}, 0.07, "valid"),
        ({"multipleOf": 0.01}, 0.071, "invalid"),
        ({"multipleOf": 0.01}, 1e300, "unchecked"),
        ({"not": {"const": 1}}, 1, "invalid"),
        ({"if": {"type": "integer"}, "then": {"minimum": 3}}, 2, "invalid"),
        ({"dependentRequired": {"a": ["b"]}}, {"a": 1}, "invalid"),
        ({"contains": {"const": 1}}, [2], "invalid"),
        ({"type": "STRING"}, 1, "invalid"),
        ({"type": "any"}, 1, "valid"),
        ({"minimum": 3, "exclusiveMinimum": True}, 3, "invalid"),
        ({"items": [{"type": "string"}], "additionalItems": False}, ["a", 1], "invalid"),
        ({"properties": {"type": {"enum": ["items"]}, "required": True}}, {"type": "x"}, "invalid"),
        ({"format": "date-time", "pattern": "^2"}, "2020", "invalid"),
        ({"format": "date"}, "2023-02-29", "invalid"),
        ({"format": "ipv4"}, "256.1.1.1", "invalid"),
        ({"format": "anything"}, "x", "valid"),
        ({"pattern": "(a|a)*b"}, "a" * 60, "unchecked"),
        ({"pattern": "\\p{L}"}, "a", "unchecked"),
        ({"patternProperties": {"^a": {"type": "string"}}, "additionalProperties": False}, {"b": 1}, "invalid"),
        ({"dependencies": {"a": ["b"]}}, {"a": 1}, "invalid"),
        ({"$ref": "http://127.0.0.1:9/x"}, 1, "unchecked"),
        ({"$ref": "file:///etc/passwd"}, 1, "unchecked"),
        ({"$ref": "#/$defs/a", "$defs": {"a": {"$ref": "#/$defs/a"}}}, 1, "unchecked"),
        ({"minimum": "x"}, 1, "unchecked"),
    ],
    ids=str,
)
def test_an_answer_is_checked(schema: dict[str, Any], value: Any, verdict: str) -> None:
    found, broken = check(schema, json.dumps(value))
    assert found == verdict
    assert bool(broken) == (verdict == "invalid")


def test_what_is_no_json_is_invalid() -> None:
    assert check({}, '{"a":') == ("invalid", ("json",))
    assert check({}, "[" * 100_000) == ("unchecked", ())

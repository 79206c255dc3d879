"""Values for JSON schemas: each is accepted by the schema it was made for."""

from __future__ import annotations

import re
from typing import Any

import pytest

from hyperllama.errors import UnsupportedFeature
from hyperllama_sim.examples import example


@pytest.mark.parametrize(
    ("schema", "value"),
    [
        (True, "word"),
        ({}, "word"),
        ({"type": "string", "maxLength": 2}, "wo"),
        ({"type": "string", "minLength": 6}, "wordaa"),
        ({"type": "string", "format": "date"}, "2024-02-29"),
        ({"type": "string", "pattern": "^x[0-9]{2}$"}, "x00"),
        ({"enum": [3, 4]}, 3),
        ({"$ref": "#/a"}, "word"),
        ({"const": None}, None),
        ({"type": "null"}, None),
        ({"type": ["integer", "null"]}, 0),
        ({"type": "integer", "minimum": 2.5}, 3),
        ({"type": "integer", "exclusiveMinimum": 3, "maximum": 99, "multipleOf": 10}, 10),
        ({"type": "integer", "maximum": -3}, -3),
        ({"type": "integer", "exclusiveMaximum": 0}, -1),
        ({"type": "array", "items": {"type": "boolean"}, "minItems": 2}, [True, True]),
        ({"type": "array", "maxItems": 0}, []),
        ({"type": "array", "prefixItems": [{"const": 1}, {"const": 2}]}, [1, 2]),
        ({"properties": {"a": {"const": 1}, "b": {"const": 2}}}, {"a": 1, "b": 2}),
        ({"properties": {"a": {"const": 1}, "b": {"const": 2}}, "required": ["b", "c"]}, {"b": 2, "c": "word"}),
        ({"oneOf": [{"const": 1}, {"const": 2}]}, 1),
        ({"$ref": "#/$defs/a~1b", "$defs": {"a/b": {"const": "found"}}}, "found"),
        (
            {
                "type": "object",
                "allOf": [
                    {"properties": {"a": {"const": 1}}, "required": ["a"]},
                    {"properties": {"b": {"const": 2}}, "required": ["b"]},
                ],
            },
            {"a": 1, "b": 2},
        ),
    ],
)
def test_a_value_is_found(schema: Any, value: object) -> None:
    assert example(schema, "word") == value


@pytest.mark.parametrize(
    ("schema", "said"),
    [
        (False, "finds no value"),
        ({"properties": {"a": {"$ref": "#"}}, "required": ["a"]}, "finds no value"),
    ],
)
def test_where_none_is_easily_found_it_says_so(schema: Any, said: str) -> None:
    with pytest.raises(UnsupportedFeature, match=re.escape(said)):
        example(schema, "word")

"""What engines follow of a schema, what is left out, and what a strict request may have."""

from __future__ import annotations

import json
from typing import Any

import jsonschema
import pytest

from hyperllama.errors import InvalidRequest, SchemaRefused
from hyperllama.generation import AnyTool, GenerationRequest, ToolSpec
from hyperllama.messages import Prompt
from hyperllama.schemas import MAX_WEIGHT, enforced, enforced_calls, forced_tools
from tests.support.random_schemas import schema as random_schema

S = {"type": "string"}
MEMBER = {"type": "object", "properties": {"a": S}, "required": ["a"]}


@pytest.mark.parametrize(
    ("schema", "followed", "loosened"),
    [
        ({"type": ["string", "null"], "maxLength": 3}, {"anyOf": [{**S, "maxLength": 3}, {"type": "null"}]}, ()),
        ({"allOf": [MEMBER, {"properties": {"b": S}}]}, {**MEMBER, "properties": {"a": S, "b": S}}, ()),
        ({"$ref": "#/$defs/a~1b", "$defs": {"a/b": S}, "maxLength": 2}, {**S, "maxLength": 2}, ()),
        ({"$ref": "#x", "$defs": {"x": {"$anchor": "x", "const": 1}}, "type": "integer"}, {"enum": [1]}, ()),
        ({"type": "object", "unevaluatedProperties": False}, {"type": "object", "additionalProperties": False}, ()),
        (
            {**MEMBER, "additionalProperties": False, "allOf": [{"properties": {"b": S}}]},
            {**MEMBER, "properties": {"a": S, "b": S}, "additionalProperties": False},
            ("#/additionalProperties",),
        ),
        ({"minItems": 2, "items": S}, {"type": "array", "items": S, "minItems": 2}, ()),
        ({"type": "number", "multipleOf": 2}, {"type": "integer"}, ("#/multipleOf",)),
        ({"type": "integer", "multipleOf": 1}, {"type": "integer"}, ()),
        ({"enum": ["a", 1, "bb"], "type": "string", "minLength": 2}, {"enum": ["bb"]}, ()),
        ({**S, "pattern": "^a/", "format": "uri"}, {**S, "pattern": "^a/.*$"}, ("#/format",)),
        ({**S, "format": "uuid", "minLength": 1}, {**S, "format": "uuid"}, ()),
        ({"anyOf": [S, {"type": "integer", "minimum": 3, "maximum": 2}]}, S, ()),
        ({"properties": {"a/b,": {"not": {}}}}, {"type": "object", "properties": {"a/b,": {}}},
         ("#/properties/a~1b%2C/not",)),
    ],
    ids=str,
)  # fmt: skip
def test_a_schema_becomes_what_engines_follow(schema: Any, followed: Any, loosened: tuple[str, ...]) -> None:
    found = enforced(schema)
    assert found.schema == followed
    assert tuple(each.place for each in found.loosened) == loosened


@pytest.mark.parametrize("seed", range(60))
def test_what_is_enforced_stays_as_it_is(seed: int) -> None:
    schema = random_schema(seed)
    once = enforced(schema, strict=True)
    assert not once.loosened
    again = enforced(once.schema)
    assert (again.schema, again.loosened) == (once.schema, ())
    jsonschema.Draft202012Validator.check_schema(once.schema)


@pytest.mark.parametrize(
    "schema", [False, {"type": "integer", "minimum": 5, "maximum": 4}, {"enum": [1], "type": "string"}], ids=str
)
def test_a_schema_that_allows_nothing_is_refused(schema: Any) -> None:
    with pytest.raises(InvalidRequest, match="allows no value"):
        enforced({"allOf": [schema]})


def test_a_format_is_an_annotation_where_nothing_fits_it() -> None:
    listed = enforced({"enum": ["soon"], "format": "date"})
    assert (listed.schema, listed.loosened[0].keyword) == ({"enum": ["soon"]}, "format")
    short = enforced({**S, "format": "date-time", "maxLength": 10})
    assert (short.schema, short.loosened[0].keyword) == ({**S, "maxLength": 10}, "format")


def nested(levels: int) -> dict[str, Any]:
    schema: dict[str, Any] = {"type": "integer"}
    for _ in range(levels):
        schema = {"type": "object", "properties": {"a": schema}, "required": ["a"]}
    return schema


@pytest.mark.parametrize("levels", [17, 29, 250])
def test_b03_a_deep_schema_is_followed_down_to_a_depth(levels: int) -> None:
    found = enforced(nested(levels))
    assert [each.keyword for each in found.loosened] == ["depth"]
    assert enforced(found.schema).schema == found.schema
    assert json.dumps(found.schema).count("properties") >= 12
    with pytest.raises(SchemaRefused, match="depth"):
        enforced(nested(levels), strict=True)


def test_a_refusal_names_the_tool_and_the_keyword() -> None:
    bad = {"type": "object", "properties": {"a": {"uniqueItems": True}}}
    tools = (ToolSpec("fine", parameters=MEMBER, strict=True), ToolSpec("lookup", parameters=bad, strict=True))
    with pytest.raises(SchemaRefused) as refusal:
        enforced_calls(tools)
    assert refusal.value.message.startswith('tools[1] "lookup" cannot be enforced')
    assert '"uniqueItems" at "#/properties/a"' in refusal.value.message
    assert refusal.value.param == "tools[1]"


def test_tools_share_what_can_be_followed() -> None:
    heavy = {"properties": {f"f{n}": {"type": "string", "maxLength": 100} for n in range(60)}}
    tools = tuple(ToolSpec(f"t{n}", parameters=heavy) for n in range(4))
    found = enforced_calls(tools)
    assert 0 < sum(each.weight for each in found) <= MAX_WEIGHT
    assert all(each.loosened for each in found)
    assert not enforced_calls(tools[:1])[0].loosened
    assert forced_tools(GenerationRequest(model="m", input=Prompt("x"), tools=tools, tool_choice=AnyTool())) == tools


def hostile() -> dict[str, dict[str, Any]]:
    """Return schemas whose parts multiply, or lead round in circles."""
    twice: dict[str, Any] = {"$defs": {"d30": {"type": "integer"}}, "$ref": "#/$defs/d0"}
    for n in range(30):
        twice["$defs"][f"d{n}"] = {"allOf": [{"$ref": f"#/$defs/d{n + 1}"}, {"$ref": f"#/$defs/d{n + 1}"}]}
    many = {f"p{n}": {} for n in range(300)}
    chain: dict[str, Any] = {f"d{n}": {"$ref": f"#/$defs/d{n + 1}"} for n in range(1200)}
    groups: dict[str, Any] = {"type": "object"}
    for n in range(4):
        groups = {"properties": {f"x{n}": {}}, "anyOf": [groups, {**groups, "minProperties": n}], "oneOf": [groups, S]}
    return {
        "each twice": twice,
        "itself": {"$ref": "#"},
        "each other": {"$ref": "#/$defs/a", "$defs": {"a": {"$ref": "#/$defs/b"}, "b": {"$ref": "#/$defs/a"}}},
        "itself as an alternative": {
            "minProperties": 1,
            "anyOf": [{"$ref": "#"}, {"properties": {"a": {"$ref": "#"}}}],
        },
        "alternatives beside members": {"properties": many, "anyOf": [{"required": [name]} for name in many]},
        "a chain": {"$defs": {**chain, "d1200": {"type": "null"}}, "$ref": "#/$defs/d0"},
        "alternatives in alternatives": groups,
        "patterns for names": {"properties": many, "patternProperties": {f"^(p+)+{n}$": {} for n in range(300)}},
        "patterns for listed texts": {
            "enum": ["a" * 30 + str(n) for n in range(700)],
            "allOf": [{"pattern": f"^(a?){{20}}{n}"} for n in range(700)],
        },
        "alternatives twice": {
            key: [{"type": "object", "properties": {f"{key}{n}": S}} for n in range(60)] for key in ("anyOf", "oneOf")
        },
        "recursion that grows": {
            "$defs": {"n": {"properties": {k: {"allOf": [{"$ref": "#/$defs/n"}, {"required": [k]}]} for k in "lr"}}},
            "$ref": "#/$defs/n",
        },
        "brackets": {"type": "string", "pattern": "(" * 1000 + ")" * 1000},
    }


@pytest.mark.parametrize("name", hostile())
def test_hostile_schemas_cost_little(name: str) -> None:
    """Steps are counted, not time: the work ends by itself, and what comes out is no larger than what is followed."""
    found = enforced(hostile()[name])
    assert len(json.dumps(found.schema)) < 300_000

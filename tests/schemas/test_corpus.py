"""Schemas as libraries, agents and JSON Schema's own suite make them: none is refused, what is followed is sound."""

from __future__ import annotations

import json

import jsonschema
import pytest

from hyperllama.errors import SchemaRefused
from hyperllama.schemas import check, enforced
from hyperllama_sim.examples import example
from tests.schemas.corpus import Listed, corpus, verdict

ALL = corpus()
POSSIBLE = [each for each in ALL if verdict(each.schema, strict=False) != "allows nothing"]
#: Formats are checked here; draft 4 ignores what is beside "$ref".
OTHERWISE = ("draft2020-12/format:", "draft4/ref:")


def test_b03_f07_none_is_refused_unless_strict_is_asked() -> None:
    assert len(ALL) >= 300
    assert {each.name for each in ALL if verdict(each.schema, strict=False) == "refused"} == set()
    impossible = {each.name for each in ALL} - {each.name for each in POSSIBLE}
    assert all("false" in name for name in impossible), impossible


def test_f07_strict_refuses_what_is_neither_enforced_nor_checked() -> None:
    for each in POSSIBLE:
        left = [place for place in enforced(each.schema).loosened if not place.checked]
        if not left:
            assert verdict(each.schema, strict=True) in ("enforced", "checked"), each.name
            continue
        with pytest.raises(SchemaRefused) as refusal:
            enforced(each.schema, strict=True)
        assert any(f'"{place.keyword}" at "{place.at}"' in refusal.value.message for place in left), each.name


@pytest.mark.parametrize("word", ["one", "another"])
def test_an_answer_of_sim_fits_the_whole_schema_where_nothing_is_loosened(word: str) -> None:
    bad = []
    for each in POSSIBLE:
        found = enforced(each.schema)
        said, broken = check(each.schema, json.dumps(example(each.schema, word)))
        if said == "invalid" and not {place.keyword for place in found.loosened}:
            bad.append((each.name, broken))
    assert not bad


@pytest.mark.parametrize("listed", [each for each in ALL if each.tests], ids=lambda each: each.name)
def test_what_the_official_suite_calls_invalid_is_kept_out_or_said_to_be_loosened(listed: Listed) -> None:
    if listed not in POSSIBLE:
        pytest.skip("it allows nothing")
    found = enforced(listed.schema)
    followed = jsonschema.Draft202012Validator(found.schema)
    for instance, valid in listed.tests:
        if not valid and not found.loosened:
            assert not followed.is_valid(instance), instance
        if not listed.name.startswith(OTHERWISE):
            said, _ = check(listed.schema, json.dumps(instance))
            assert said in ("unchecked", "valid" if valid else "invalid"), instance

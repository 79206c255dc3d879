"""``config schema``: what an editor learns of config.toml."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from click.testing import CliRunner

from hyperllama.cli.commands import cli

TOP = Path(__file__).parents[2] / "config.toml"


@pytest.fixture(scope="module")
def schema() -> dict[str, Any]:
    result = CliRunner().invoke(cli, ["config", "schema"])
    assert result.exit_code == 0
    found: dict[str, Any] = json.loads(result.stdout)
    jsonschema.Draft202012Validator.check_schema(found)
    return found


def test_the_file_at_the_top_is_valid_by_the_schema(schema: dict[str, Any]) -> None:
    jsonschema.validate(tomllib.loads(TOP.read_text("utf-8")), schema)


@pytest.mark.parametrize(
    "text",
    [
        "[server]\nport = 70000",
        "[server]\nprot = 1",
        "[logs]\nlevel = 'loud'",
        "[keys.static.me]\nhash = 'abc'",
        "[queue]\nfloor = 0.9",
        "[models.a]\nmax_batch_size = 0",
    ],
)
def test_what_the_gateway_refuses_the_schema_refuses(schema: dict[str, Any], text: str) -> None:
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(tomllib.loads(text), schema)


def test_a_duration_is_a_number_or_a_text(schema: dict[str, Any]) -> None:
    for value in ("'30d'", "300", "-1", "0.5"):
        jsonschema.validate(tomllib.loads(f"[server]\nkeep_alive = {value}\n[models.a]\nkeep_alive = {value}"), schema)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(tomllib.loads("[server]\nkeep_alive = []"), schema)

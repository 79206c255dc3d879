"""The table of facts is in step with the code, the config file and the package."""

from __future__ import annotations

import tomllib
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import click
import pytest

from hyperllama.app.application import create_app
from hyperllama.cli.commands import cli
from hyperllama.config import Config
from hyperllama_builtin.models import BUILTIN
from hyperllama_builtin.training.facts import FACTS, Fact
from hyperllama_builtin.training.questions import QUESTIONS, TOPICS
from hyperllama_builtin.training.split import Side, templates

ROOT = Path(__file__).parents[2]
SIDES: tuple[Side, ...] = ("train", "dev", "test")


def _toml(name: str) -> dict[str, Any]:
    return tomllib.loads((ROOT / name).read_text(encoding="utf-8"))


def _config(what: str) -> bool:
    path, _, wanted = what.partition("=")
    value: Any = _toml("config.toml")
    for key in path.split("."):
        value = value[key]
    return isinstance(value, dict) if not wanted else str(value) == wanted


@cache
def _routes() -> frozenset[str]:
    return frozenset(route.path for route in create_app(Config()).web.litestar.routes)


CHECKS: dict[str, Callable[[str], bool]] = {
    "builtin": lambda name: name in {model.name for model in BUILTIN},
    "command": lambda name: name in cli.list_commands(click.Context(cli)),
    "config": _config,
    "context": lambda tokens: str(BUILTIN[0].card.context) == tokens,
    "dependency": lambda name: any(
        line.startswith(name) for line in _toml("pyproject.toml")["project"]["dependencies"]
    ),
    "group": lambda name: name in _toml("pyproject.toml")["project"]["entry-points"],
    "licence": lambda name: bool(_toml("pyproject.toml")["project"]["license"].split(" AND ")[0] == name),
    "none": lambda _: True,
    "python": lambda wanted: bool(_toml("pyproject.toml")["project"]["requires-python"] == wanted),
    "route": lambda path: path in _routes(),
    "script": lambda name: name in _toml("pyproject.toml")["project"]["scripts"],
    "table": lambda name: name in Config.__struct_fields__,
}


@pytest.mark.parametrize("fact", FACTS, ids=lambda fact: fact.key)
def test_a_fact_holds(fact: Fact) -> None:
    kind, what = fact.check
    assert CHECKS[kind](what), f"{fact.key}: {fact.answer}"


@pytest.mark.parametrize("fact", FACTS, ids=lambda fact: fact.key)
def test_a_fact_is_asked_for_on_every_side_of_the_split(fact: Fact) -> None:
    for side in SIDES:
        assert templates(QUESTIONS[fact.key], side) or fact.key in TOPICS


def test_no_phrasing_is_without_a_fact() -> None:
    keys = {fact.key for fact in FACTS}
    assert len(keys) == len(FACTS)
    assert set(QUESTIONS) == keys
    assert set(TOPICS) <= keys


def test_the_size_that_the_model_tells_is_its_size() -> None:
    assert round(BUILTIN[0].card.parameters / 1e6, 1) == 2.4

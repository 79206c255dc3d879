"""Models that sources offer and nobody configured."""

from __future__ import annotations

import pytest

from hyperllama.app.application import create_app
from hyperllama.config import Config
from hyperllama.errors import ConfigError
from hyperllama.models import ModelSpec

TINY = ModelSpec(name="hyperllama-tiny", engine="max", source="builtin:hyperllama-tiny")


@pytest.fixture
def without_max(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name, package=None: None)


def test_what_cannot_run_here_is_left_out_and_nothing_else_suffers(without_max: None) -> None:
    app = create_app(Config(models={"sim": ModelSpec(name="sim", engine="sim")}))
    assert [entry.spec.name for entry in app.catalog.entries()] == ["sim"]
    assert "pip install 'hyperllama-gateway[max]'" in app.models.skipped["hyperllama-tiny"]


def test_what_was_configured_and_cannot_run_here_is_refused(without_max: None) -> None:
    with pytest.raises(ConfigError, match=r"pip install 'hyperllama-gateway\[max\]'"):
        create_app(Config(models={TINY.name: TINY}))


def test_a_configured_model_takes_the_place_of_an_offered_one() -> None:
    app = create_app(Config(models={"x": ModelSpec(name="x", engine="sim", aliases=("hyperllama-tiny",))}))
    assert app.catalog.find("hyperllama-tiny").spec.name == "x"
    assert app.models.skipped == {}

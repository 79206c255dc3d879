"""The wheel holds what a gateway needs at run time, and not what made the built-in models."""

from __future__ import annotations

from pathlib import Path

import pytest

import hyperllama
from tests.support.paths import ROOT


@pytest.fixture(scope="module")
def builder():
    wheel = pytest.importorskip("hatchling.builders.wheel")
    return wheel.WheelBuilder(str(ROOT))


def test_the_wheel_has_the_models_and_nothing_of_their_training(builder):
    files = {file.distribution_path for file in builder.recurse_included_files()}
    assert not [path for path in files if path.startswith("hyperllama_builtin/training")]
    assert "hyperllama_builtin/source.py" in files
    for name in ("hyperllama-tiny", "hyperllama-tiny-embed"):
        assert f"hyperllama_builtin/weights/{name}/model.safetensors" in files


def test_every_module_in_the_wheel_can_be_imported_without_the_training(builder):
    """By reading: no shipped file names the package that stays behind in an import."""
    for file in builder.recurse_included_files():
        if file.distribution_path.startswith("hyperllama_builtin/") and file.path.endswith(".py"):
            text = Path(file.path).read_text("utf-8")
            assert "import hyperllama_builtin.training" not in text, file.path
            assert "from hyperllama_builtin.training" not in text, file.path


def test_the_version_is_said_once(builder):
    assert builder.metadata.version == hyperllama.__version__

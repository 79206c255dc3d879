"""Gateways over the sim engine and over MAX, one of each for the whole run."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator

import pytest

from tests.support.gateways import Gateway, start
from tests.support.paths import ROOT

SIM = """
[server]
port = 0
[models.sim]
engine = "sim"
aliases = ["other"]
[models.sim-embed]
engine = "sim"
[models.sim-embed.options]
embedding = 8
[models.slow]
engine = "sim"
[models.slow.options]
tokens_per_second = 20
answer_tokens = 400
"""


@pytest.fixture(scope="session")
def sim(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """One gateway over the sim engine for the whole run."""
    gateway = Gateway.launch(tmp_path_factory.mktemp("sim"), SIM)
    gateway.wait_listening()
    yield gateway
    assert gateway.stop() == 0, gateway.log()


@pytest.fixture(scope="session")
def max_gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """One gateway over MAX with the built-in models, configured by the file at the top, for the whole run."""
    if importlib.util.find_spec("max") is None:
        pytest.skip("the [max] extra is not installed")
    config = (ROOT / "config.toml").read_text()
    gateway = Gateway.launch(tmp_path_factory.mktemp("max"), config, HYPERLLAMA_SERVER_PORT="0")
    gateway.wait_listening()
    gateway.wait_ready()
    yield gateway
    assert gateway.stop() == 0, gateway.log()

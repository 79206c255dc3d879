"""Pytest fixtures for plugin authors, there as soon as hyperllama-gateway is installed: no import, no conftest line."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:  # pytest loads this file in every run of an environment that has the gateway: it must cost nothing
    from hyperllama.config import Config
    from hyperllama.identity import Caller
    from hyperllama.testing.fakes import FakeGateway


@pytest.fixture
def hyperllama_config() -> Config:
    """Return the configuration of a gateway without a file."""
    from hyperllama.config import Config

    return Config()


@pytest.fixture
def hyperllama_caller() -> Caller:
    """Return a caller from this machine with every permission."""
    from hyperllama.testing.fakes import caller

    return caller()


@pytest.fixture
def hyperllama_gateway() -> FakeGateway:
    """Return a gateway with one model, ``fake``, that answers in memory."""
    from hyperllama.testing.fakes import FakeGateway

    return FakeGateway()


__all__ = ("hyperllama_caller", "hyperllama_config", "hyperllama_gateway")

"""Hosts that run the fake worker, each ended with its test."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
import pytest_asyncio

from hyperllama.generation import GenerationRequest
from hyperllama.host.process import HostedModel, HostOptions, launch
from hyperllama.models import LoadProgress, ModelSpec
from tests.support.hosts import options, request

Launch = Callable[..., Awaitable[HostedModel]]


@pytest_asyncio.fixture
async def start() -> AsyncIterator[Launch]:
    models: list[HostedModel] = []

    async def go(
        *, reports: list[LoadProgress] | None = None, host: dict[str, Any] | None = None, **fake: Any
    ) -> HostedModel:
        seen = [] if reports is None else reports
        model = await launch("m", options(**(host or {})), ModelSpec(name="m", options=fake), None, seen.append)
        models.append(model)
        return model

    yield go
    for model in models:
        await model.close()


@pytest.fixture
def host_options() -> Callable[..., HostOptions]:
    return options


@pytest.fixture
def ask() -> Callable[..., GenerationRequest]:
    return request

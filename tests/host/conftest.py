"""Hosts that run the fake worker, each ended with its test."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from hyperllama.generation import GenerationRequest, Sampling
from hyperllama.host.process import HostedModel, HostOptions, launch
from hyperllama.messages import Prompt
from hyperllama.models import LoadProgress, ModelSpec

Launch = Callable[..., Awaitable[HostedModel]]


def request(tokens: int = 10, **sampling: Any) -> GenerationRequest:
    return GenerationRequest(model="m", input=Prompt("hello"), sampling=Sampling(max_tokens=tokens, **sampling))


def options(**changes: Any) -> HostOptions:
    return HostOptions(
        factory="fake_worker:FakeWorker", environment={"PYTHONPATH": str(Path(__file__).parent)}, **changes
    )


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

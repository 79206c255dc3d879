"""The built-in models on MAX, loaded once for all tests. A machine's first run compiles them, which takes minutes."""

from __future__ import annotations

import importlib.util
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from hyperllama.host.process import HostedModel
from tests.support.asking_max import CHAT, EMBED, LENGTH, dress, load_model


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Tests with a loaded model share its event loop, may wait for it to compile, and need MAX.

    They run last: their models stay loaded to the end, and tests of other rooms count this process's children.
    """
    for item in items:
        if Path(__file__).parent in item.path.parents and _loads(item):
            item.add_marker(pytest.mark.asyncio(loop_scope="session"), append=False)
            item.add_marker(pytest.mark.timeout(900))
            item.add_marker(pytest.mark.max)
            if importlib.util.find_spec("max") is None:
                item.add_marker(pytest.mark.skip("MAX is not installed"))
    items.sort(key=lambda item: Path(__file__).parent in item.path.parents)


def _loads(item: pytest.Item) -> bool:
    return isinstance(item, pytest.Function) and not {"chat", "dressed", "encoder", "load"}.isdisjoint(
        item.fixturenames
    )


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def chat() -> AsyncIterator[HostedModel]:
    model = await load_model(CHAT)
    yield model
    await model.close()


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def dressed(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[HostedModel]:
    """The same weights with a tokenizer that knows how to fill in, and a template that thinks and calls tools."""
    model = await load_model(dress(tmp_path_factory.mktemp("dressed")), **LENGTH)
    yield model
    await model.close()


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def encoder() -> AsyncIterator[HostedModel]:
    model = await load_model(EMBED)
    yield model
    await model.close()


@pytest_asyncio.fixture(loop_scope="session")
async def load() -> AsyncIterator[Callable[..., Awaitable[HostedModel]]]:
    models: list[HostedModel] = []

    async def go(path: Path = CHAT, **changes: Any) -> HostedModel:
        models.append(await load_model(path, **changes))
        return models[-1]

    yield go
    for model in models:
        await model.close()

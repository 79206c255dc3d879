"""The whole application over a real socket, in this process, on a store of the test's own."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any, TypeAlias

import pytest
import uvicorn

from hyperllama.app.application import Application, create_app
from hyperllama.config import Config, Store
from hyperllama.models import ModelSpec

Running: TypeAlias = Callable[..., AbstractAsyncContextManager[tuple[Application, str]]]


class _Server(uvicorn.Server):
    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.up = asyncio.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.up.set()


def sim(name: str, **options: Any) -> ModelSpec:
    places = options.pop("places", 8)
    return ModelSpec(name=name, engine="sim", max_batch_size=places, options=options)


@pytest.fixture
def running(tmp_path: Path) -> Running:
    """Start an application: it, and its URL."""

    @asynccontextmanager
    async def run(
        *models: ModelSpec, store: Path = tmp_path, database: str = "", **tables: Any
    ) -> AsyncGenerator[tuple[Application, str]]:
        specs = models or (sim("sim"), sim("vec", embedding=8))
        kept = Store(path=str(store), database=database)
        config = Config(models={model.name: model for model in specs}, store=kept, **tables)
        app = create_app(config)
        server = _Server(uvicorn.Config(app, host="127.0.0.1", port=0, log_config=None, ws="none"))
        serving = asyncio.create_task(server._serve())
        await server.up.wait()
        try:
            yield app, f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
        finally:
            server.should_exit = True
            await serving

    return run

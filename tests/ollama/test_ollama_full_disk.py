"""A disk that fills up during a pull: the client is told, half a file stays to go on with, and chats go on."""

from __future__ import annotations

import asyncio
import json
import resource
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import httpx

from hyperllama.testing.running import RunningGateway

SAID = {"model": "sim", "messages": [{"role": "user", "content": "hi"}], "stream": False}
CONFIG = "[server]\nport = 0\n[models.sim]\nengine = 'sim'\n"
LIMIT = 1_000_000  # bytes that any one file may have; more is refused as a full disk refuses it


async def test_chats_go_on_while_a_pull_finds_the_disk_full(
    tmp_path: Path, loopback_hub: Callable[..., AbstractContextManager[Any]]
) -> None:
    weights = bytes(2 * LIMIT)
    files = {"config.json": b'{"model_type":"llama"}', "tokenizer.json": b"{}", "model.safetensors": weights}
    with loopback_hub({"org/small": files}) as hub:
        gateway = RunningGateway.launch(tmp_path, CONFIG, HF_ENDPOINT=hub.url)
        gateway.wait_listening()
        _, hard = resource.prlimit(gateway.process.pid, resource.RLIMIT_FSIZE)
        resource.prlimit(gateway.process.pid, resource.RLIMIT_FSIZE, (LIMIT, hard))
        async with httpx.AsyncClient(base_url=gateway.url, timeout=60, trust_env=False) as http:
            pulls = [asyncio.create_task(http.post("/api/pull", json={"model": "org/small"})) for _ in range(2)]
            statuses = set()
            while not all(pull.done() for pull in pulls):
                statuses.add((await http.post("/api/chat", json=SAID)).status_code)
            assert statuses == {200}
            for pull in pulls:
                lines = [json.loads(line) for line in (await pull).text.splitlines()]
                assert lines[0] == {"status": "pulling manifest"}
                assert lines[-1] == {"error": "pull model: not enough space on the disk"}
            listed = (await http.get("/api/tags")).json()["models"]
            assert "org/small:latest" not in {model["name"] for model in listed}
            assert hub.gets("model.safetensors") == [""]
            await http.post("/api/pull", json={"model": "org/small"})
            assert hub.gets("model.safetensors")[1].startswith("bytes=")  # it went on with what was there
        blobs = gateway.folder / "store" / "models" / "blobs"
        assert not any(path.name.startswith(".tmp-") for path in blobs.iterdir())
        assert gateway.stop() == 0, gateway.log()

"""SIGKILL at random moments of pull, create, copy and delete, and disks that are full: the store stays whole."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

from hyperllama.errors import StoreFailed
from hyperllama.identity import LOCAL, Caller
from hyperllama.modelstore.disk_store import DiskModelStore
from hyperllama.modelstore.hub import Hub
from hyperllama.modelstore.integrity import check

HERE = Path(__file__).parent
CALLER = Caller(protocol="test", principal=LOCAL, request_id="r")


def kill(folder: Path, hub: Any, kills: int) -> dict[str, Any]:
    hub.repos["org/other"] = {name: data + b" " for name, data in hub.repos["org/small"].items()}
    command = [sys.executable, str(HERE / "kill_loop.py"), str(folder), hub.url, str(kills), "7"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr[-2000:]
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def test_twenty_kills_leave_the_store_whole(tmp_path: Path, hub: Any) -> None:
    found = kill(tmp_path / "models", hub, 20)
    assert found["wrong"] == []
    assert found["models"] > 0


@pytest.mark.nightly
@pytest.mark.timeout(600)
def test_two_hundred_kills_leave_the_store_whole(tmp_path: Path, hub: Any) -> None:
    found = kill(tmp_path / "models", hub, 200)
    assert found["wrong"] == []
    assert found["models"] > 0


FULL = """
import asyncio, json, resource, sys
from pathlib import Path
sys.path.insert(0, sys.argv[3])
import kill_loop
from hyperllama.errors import GatewayError
from hyperllama.modelstore.integrity import check
from hyperllama.modelstore.hub import Hub
from hyperllama.modelstore.disk_store import DiskModelStore
from hyperllama_ollama import errors

async def main():
    store = DiskModelStore(Path(sys.argv[1]), names={}, hub=Hub({"HF_ENDPOINT": sys.argv[2]}))
    store.attach(kill_loop.StoreListing(store))
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    said = []
    for limit in (1_000_000, hard):
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, hard))
        try:
            async for step in store.pull("org/small", kill_loop.CALLER):
                last = step.phase
        except GatewayError as error:
            last = errors.text(error)
        said.append([last, [name.short for name in store.manifests.names()], check(store.directory)])
    print(json.dumps(said))

asyncio.run(main())
"""


def test_a_full_disk_ends_the_pull_and_the_next_one_goes_on(tmp_path: Path, hub: Any) -> None:
    command = [sys.executable, "-c", FULL, str(tmp_path / "models"), hub.url, str(HERE)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=100)
    assert done.returncode == 0, done.stderr[-2000:]
    full, after = json.loads(done.stdout.splitlines()[-1])
    assert full == ["pull model: not enough space on the disk", [], []]
    assert after == ["done", ["org/small"], []]
    assert hub.gets("model.safetensors")[1].startswith("bytes=")


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of one MiB, where this user may mount one."""
    folder = tmp_path / "models"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(folder)]
    if os.geteuid() != 0 or shutil.which("mount") is None or subprocess.run(command, capture_output=True).returncode:
        pytest.skip("no file system can be mounted here")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


async def test_a_disk_that_fills_up_meanwhile_is_said_and_leaves_no_model(
    small_disk: Path, shelf: Any, hub: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = DiskModelStore(small_disk, names={}, hub=Hub({"HF_ENDPOINT": hub.url}))
    store.attach(shelf)
    monkeypatch.setattr(store.blobs, "need", lambda size: None)  # there was room when it was looked at
    with pytest.raises(StoreFailed, match="not enough space on the disk"):
        async for _ in store.pull("org/small", CALLER):
            pass

    async def content() -> AsyncIterator[bytes]:
        for _ in range(32):
            yield bytes(2**16)

    with pytest.raises(StoreFailed, match="not enough space on the disk"):
        await store.put_blob(f"sha256:{'0' * 64}", content(), CALLER)
    assert list(store.manifests.names()) == [] and check(store.directory) == []
    assert not any(name.startswith(".tmp-") for name in store.directory.names("blobs"))

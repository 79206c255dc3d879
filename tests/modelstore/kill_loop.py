"""Run outside pytest: forks workers that change a store without end, kills each at some moment, checks the store.

Arguments: folder, the hub's address, kills, seed. Prints a JSON object.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import signal
import sys
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import huggingface_hub.file_download  # so that workers do not spend their lives importing
import huggingface_hub.utils.tqdm  # noqa: F401
import psutil

from hyperllama.errors import GatewayError
from hyperllama.identity import LOCAL, Caller
from hyperllama.modelstore.blobs import Blobs
from hyperllama.modelstore.confined import ConfinedDirectory
from hyperllama.modelstore.disk_store import DiskModelStore
from hyperllama.modelstore.hub import Hub
from hyperllama.modelstore.integrity import check
from hyperllama.modelstore.manifests import Manifests
from hyperllama.spi import Recipe

CALLER = Caller(protocol="test", principal=LOCAL, request_id="r")
NAMES = ("org/small", "org/other", "one", "two", "three")


class StoreListing:
    """The catalog of a worker: what the manifests say."""

    def __init__(self, store: DiskModelStore) -> None:
        self._store = store

    def configured(self, name: str) -> bool:
        return False

    def base(self, name: str) -> Any:
        for stored in self._store.manifests.all():
            if stored.name.short == name:
                return SimpleNamespace(spec=SimpleNamespace(name=name, aliases=()), info=None, manifest=stored.manifest)
        return None

    async def fetch(self, name: str) -> None: ...

    async def prepare(self, name: Any, manifest: Any, digest: str) -> Any:
        assert not manifest.layers or any(self._store.views.path(digest).iterdir())
        return lambda stored: None

    def withdraw(self, name: str) -> None: ...

    def fill(self, found: Any) -> None: ...


def recipe(base: str, text: str, files: dict[str, str]) -> Recipe:
    return Recipe(base=base, files=files, system=text, parameters={"seed": 1})


async def change(store: DiskModelStore, chance: random.Random) -> None:
    name, other = chance.choice(NAMES), chance.choice(NAMES)
    try:
        match chance.choice(("pull", "pull", "create", "upload", "copy", "delete")):
            case "pull":
                async for _ in store.pull(chance.choice(NAMES[:2]), CALLER):
                    pass
            case "create":
                async for _ in store.create(recipe(other, str(chance.random()), {}), name, CALLER):
                    pass
            case "upload":
                data = b"GGUF" + chance.randbytes(300_000)
                digest = "sha256:" + __import__("hashlib").sha256(data).hexdigest()

                async def content() -> Any:
                    for at in range(0, len(data), 65536):
                        yield data[at : at + 65536]

                await store.put_blob(digest, content(), CALLER)
                async for _ in store.create(recipe("", "", {"m.gguf": digest}), name, CALLER):
                    pass
            case "copy":
                await store.copy(other, name, CALLER)
            case "delete":
                await store.delete(name, CALLER)
    except GatewayError:
        pass  # there was nothing of that name


async def work(folder: Path, hub: str, seed: int) -> None:
    store = DiskModelStore(folder, names={}, hub=Hub({"HF_ENDPOINT": hub}))
    store.attach(StoreListing(store))
    await store.open()
    chance = random.Random(seed)
    while True:
        await change(store, chance)


def _let_live(child: int, seconds: float) -> None:
    """So much time of a processor, however busy the machine is; less when the child waits for something for long."""
    process = psutil.Process(child)
    longest = time.monotonic() + 10 * seconds + 1
    while time.monotonic() < longest:
        spent = process.cpu_times()
        if spent.user + spent.system >= seconds:
            return
        time.sleep(0.005)


def main(folder: Path, hub: str, kills: int, seed: int) -> None:
    chance = random.Random(seed)
    directory = ConfinedDirectory(folder)
    wrong: list[str] = []
    left = 0
    partials = models = 0
    for number in range(kills):
        child = os.fork()
        if child == 0:
            os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
            try:
                asyncio.run(work(folder, hub, seed * 1000 + number))
            finally:
                os._exit(3)
        _let_live(child, chance.uniform(0.02, 0.3))
        os.kill(child, signal.SIGKILL)
        _, status = os.waitpid(child, 0)
        if not os.WIFSIGNALED(status):
            wrong.append(f"worker {number} ended by itself: {status}")
        wrong += [f"after kill {number}: {line}" for line in check(directory)]
        partials += sum(name.endswith(".partial") for name in directory.names("blobs"))
        models += len(list(Manifests(directory, Blobs(directory)).names()))
    store = DiskModelStore(folder, names={})
    asyncio.run(store.open())
    for path in folder.rglob(".tmp-*"):
        left += 1
        wrong.append(f"left behind: {path.name}")
    print(json.dumps({"wrong": wrong, "partials": partials, "models": models, "left": left}))


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))

"""A store over a shelf that takes anything, and a hub on loopback to fetch from."""

from __future__ import annotations

import json
import struct
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from hyperllama.errors import ConfigError
from hyperllama.identity import LOCAL, Caller
from hyperllama.models import ModelInfo, ModelSpec
from hyperllama.modelstore.disk_store import DiskModelStore
from hyperllama.modelstore.hub import Hub
from hyperllama.modelstore.manifests import Manifest, Stored
from hyperllama.modelstore.names import StoredName
from hyperllama.modelstore.recipe import Base
from tests.support.databases import each_database as database
from tests.support.hub_server import loopback_hub


class StoreListing:
    """Offers what it is given; ``refuse`` makes every model one that no engine can load."""

    def __init__(self) -> None:
        self.offered: dict[str, Stored] = {}
        self.configured_names: dict[str, ModelSpec] = {}
        self.refuse = ""

    def fill(self, found: Sequence[Stored]) -> None:
        self.offered = {stored.name.short: stored for stored in found}

    def configured(self, name: str) -> bool:
        return name in self.configured_names

    def base(self, name: str) -> Base | None:
        for known, spec in self.configured_names.items():
            if known == name:
                return Base(spec, _info(name), None)
        for known, stored in self.offered.items():
            if known.casefold() == name.casefold():
                return Base(ModelSpec(name=known), _info(known), stored.manifest)
        return None

    async def fetch(self, name: str) -> None: ...

    async def prepare(self, name: StoredName, manifest: Manifest, digest: str) -> Callable[[Stored], None]:
        if self.refuse:
            raise ConfigError(self.refuse)

        def put(stored: Stored) -> None:
            self.offered[name.short] = stored

        return put

    def withdraw(self, name: str) -> None:
        self.offered.pop(name)


def _info(name: str) -> ModelInfo:
    return ModelInfo(name=name, engine="sim", capabilities=frozenset(), context_length=16)


def tensors(size: int, seed: int = 0) -> bytes:
    """A safetensors file of about ``size`` bytes."""
    count = max(1, size // 4)
    header = json.dumps({"w": {"dtype": "F32", "shape": [count], "data_offsets": [0, count * 4]}}).encode()
    body = bytes((seed + index * 7) % 251 for index in range(4096)) * (count * 4 // 4096 + 1)
    return struct.pack("<Q", len(header)) + header + body[: count * 4]


def repository(size: int = 2_000_000, seed: int = 0) -> dict[str, bytes]:
    return {
        "config.json": b'{"architectures":["LlamaForCausalLM"],"model_type":"llama","seed":%d}' % seed,
        "tokenizer.json": b'{"added_tokens":[]}',
        "model.safetensors": tensors(size, seed),
        "pytorch_model.bin": b"a pickle",
        "modeling.py": b"import os",
    }


CALLER = Caller(protocol="test", principal=LOCAL, request_id="r")


@pytest.fixture
def hub() -> Iterator[object]:
    with loopback_hub({"org/small": repository()}) as found:
        yield found
    from huggingface_hub import close_session

    close_session()  # the client keeps its connections for the next download


@pytest.fixture
def shelf() -> StoreListing:
    return StoreListing()


@pytest.fixture
def store(tmp_path: Path, shelf: StoreListing, hub: object) -> DiskModelStore:
    made = DiskModelStore(tmp_path / "models", names={"short": "hf:org/small"}, hub=Hub({"HF_ENDPOINT": hub.url}))  # type: ignore[attr-defined]
    made.attach(shelf)
    return made

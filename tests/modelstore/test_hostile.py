"""Digests, names and file names that want out: nothing outside the store is read, made, changed or removed."""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

from hyperllama.errors import ConfigError, GatewayError, InvalidRequest
from hyperllama.identity import LOCAL, Caller
from hyperllama.modelstore.disk_store import DiskModelStore
from hyperllama.modelstore.names import hex_of, stored_name
from hyperllama.spi import Recipe
from tests.support.ollama_words import refused

CALLER = Caller(protocol="test", principal=LOCAL, request_id="r")
HEX = "a" * 64
STEPS = (
    "../",
    "..\\",
    "%2e%2e/",
    "%2e%2e%2f",
    "\u2024\u2024/",
    "..\uff0f",
    "....//",
    "./../",
    "\0../",
    "\n../",
    "..;/",
    "//",
)
WHERE = ("canary", "../canary/secret", "etc/passwd", f"blobs/sha256-{HEX}", "manifests")
PATHS = [step * depth + where for step, depth, where in itertools.product(STEPS, (1, 3), WHERE)]
DIGESTS = [
    *(f"sha256:{path}" for path in PATHS[:90]),
    *(f"sha256-{path}" for path in PATHS[:20]),
    *(f"sha256:{HEX}{end}" for end in ("\n", "\0", "/", "/..", " ", "a", ".partial", "/../../canary/secret", "\r\n")),
    *(f"{start}{HEX}" for start in ("", "sha512:", "sha256", "sha256/", " sha256:", "../sha256:", "sha256:\n")),
    f"sha256:{'A' * 64}",
    f"sha256:{'٣' * 64}",
    "sha256:" + "\uff41" * 64,
    f"sha256:{HEX[:-1]}",
    "sha256:" + "a" * 100_000,
]
NAMES = [
    *PATHS,
    *(f"m/{path}" for path in PATHS[:60]),
    *(f"{path}:latest" for path in PATHS[:60]),
    *(f"m{end}" for end in ("\n", "\0", "/", ":", " ", "@sha256:x", "/..", ":..", ":.", "\\..\\x")),
    *(".", "..", "-m", ".m", "", "m" * 81, "h" * 241 + "/n/m", "a/b/c/d", "ümlaut", "m:tag\n", ".tmp-1/x/y"),
]


@pytest.fixture
def canary(tmp_path: Path) -> Iterator[Path]:
    """Files beside the store that must stay as they are, and nothing new may come."""
    folder = tmp_path / "canary"
    folder.mkdir()
    (folder / "secret").write_text("untouched")
    (folder / f"sha256-{HEX}").write_text("untouched")
    before = _state(tmp_path)
    yield folder
    assert _state(tmp_path) == before


def _state(root: Path) -> dict[str, tuple[int, int]]:
    found = [path for path in root.rglob("*") if "models" not in path.relative_to(root).parts[:1]]
    return {str(path): (path.stat().st_mtime_ns, path.stat().st_size) for path in found}


async def _content() -> AsyncIterator[bytes]:
    yield b"hostile"


def test_there_are_two_hundred_hostile_digests_and_names() -> None:
    assert len(set(DIGESTS)) + len(set(NAMES)) >= 200
    assert len(set(DIGESTS)) >= 100


async def test_hostile_digests_touch_nothing_outside(store: DiskModelStore, canary: Path) -> None:
    for digest in DIGESTS:
        with refused(InvalidRequest, "invalid digest format"):
            hex_of(digest)
        with pytest.raises(InvalidRequest):
            await store.has_blob(digest, CALLER)
        with pytest.raises(InvalidRequest):
            await store.put_blob(digest, _content(), CALLER)
        with pytest.raises(ConfigError):
            store.source.local(digest)
    assert store.directory.names("blobs") == []


async def test_hostile_names_touch_nothing_outside(store: DiskModelStore, canary: Path, hub: Any) -> None:
    for name in NAMES:
        with refused(InvalidRequest, "invalid model name"):
            stored_name(name)
        for work in (store.copy(name, "x", CALLER), store.copy("x", name, CALLER), store.delete(name, CALLER)):
            with pytest.raises(GatewayError):
                await work
        for steps in (store.pull(name, CALLER), store.push(name, CALLER)):
            with pytest.raises(InvalidRequest):
                async for step in steps:
                    assert step.phase == "locating"
    assert hub.requests == []


async def test_hostile_file_names_of_a_model_are_refused(store: DiskModelStore, canary: Path) -> None:
    import hashlib

    digest = "sha256:" + hashlib.sha256(b"hostile").hexdigest()
    await store.put_blob(digest, _content(), CALLER)
    for path in (*PATHS, "model.bin", "x.pkl", "run.py", "a/model.safetensors", ".safetensors", "", "c:model.gguf"):
        asked = Recipe(files={path: digest})
        with pytest.raises(InvalidRequest):
            async for _ in store.create(asked, "made", CALLER):
                pass
    assert list(store.manifests.names()) == []


async def test_links_in_the_store_are_not_followed(store: DiskModelStore, canary: Path) -> None:
    blobs = store.directory.root / "blobs"
    blobs.mkdir(parents=True)
    (blobs / f"sha256-{HEX}").symlink_to(canary / "secret")
    assert not await store.has_blob(f"sha256:{HEX}", CALLER)
    with pytest.raises(OSError, match="symbolic link"):
        store.blobs.open(f"sha256:{HEX}")
    (store.directory.root / "manifests").symlink_to(canary)
    with pytest.raises(GatewayError, match="the store failed"):
        async for _ in store.pull("org/small", CALLER):
            pass

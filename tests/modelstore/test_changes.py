"""Create, copy, delete: what is shared stays as long as a model names it, and no longer."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from hyperllama.errors import InvalidRequest, ModelNotFound
from hyperllama.identity import LOCAL, Caller
from hyperllama.models import ModelSpec
from hyperllama.modelstore.disk_store import DiskModelStore
from hyperllama.modelstore.hub import Hub
from hyperllama.modelstore.integrity import check
from hyperllama.spi import Recipe, RecipeMessage
from tests.support.ollama_words import refused

CALLER = Caller(protocol="test", principal=LOCAL, request_id="r")
GGUF = b"GGUF" + bytes(100)


def recipe(**said: Any) -> Recipe:
    return Recipe(**said)


async def create(store: DiskModelStore, name: str, **said: Any) -> list[str]:
    return [step.phase async for step in store.create(recipe(**said), name, CALLER)]


async def upload(store: DiskModelStore, data: bytes) -> str:
    async def content() -> AsyncIterator[bytes]:
        for at in range(0, len(data), 7):
            yield data[at : at + 7]

    digest = f"sha256:{hashlib.sha256(data).hexdigest()}"
    await store.put_blob(digest, content(), CALLER)
    return digest


def manifest(store: DiskModelStore, name: str) -> Any:
    return next(stored for stored in store.manifests.all() if stored.name.short == name)


async def test_a_model_of_an_uploaded_file_lists_it_under_its_name(store: DiskModelStore) -> None:
    digest = await upload(store, GGUF)
    said = await create(store, "mine", files={"m.gguf": digest})
    assert said == ["reading_gguf", "reusing", "writing", "done"]
    view = store.views.path(manifest(store, "mine").digest)
    assert (view / "m.gguf").read_bytes() == GGUF
    assert check(store.directory) == []


async def test_a_derived_model_keeps_what_it_does_not_replace(store: DiskModelStore) -> None:
    files = {"m.gguf": await upload(store, GGUF)}
    await create(store, "base", files=files, system="be kind", parameters={"seed": 1, "top_k": 5}, license=("MIT",))
    turn = RecipeMessage("user", "hi")
    await create(store, "above", base="base", parameters={"seed": 2}, messages=(turn,), template="{% x %}")
    found = manifest(store, "above").manifest
    assert found.spec.parameters == {"seed": 2, "top_k": 5}
    assert (found.spec.system, found.license, found.parent) == ("be kind", ("MIT",), "base:latest")
    assert (found.messages[0].content, found.template) == ("hi", "{% x %}")
    assert found.layers == manifest(store, "base").manifest.layers


async def test_a_model_of_a_configured_one_points_to_its_files(
    store: DiskModelStore, shelf: Any, tmp_path: Path
) -> None:
    spec = ModelSpec(name="given", engine="sim", source="builtin:x", aliases=("g",), preload=True, max_length=64)
    shelf.configured_names["given"] = spec
    await create(store, "mine", base="given", system="short answers")
    found = manifest(store, "mine").manifest
    assert found.layers == ()
    assert found.spec == ModelSpec(engine="sim", source="builtin:x", max_length=64, system="short answers")


async def test_names_of_the_configuration_are_not_overwritten_or_deleted(store: DiskModelStore, shelf: Any) -> None:
    shelf.configured_names["given"] = ModelSpec(name="given", engine="sim")
    await store.copy("given", "second", CALLER)
    for work in (store.delete("given", CALLER), store.copy("second", "given", CALLER)):
        with pytest.raises(InvalidRequest, match="belongs to the gateway's configuration"):
            await work
    assert [step.phase async for step in store.pull("given", CALLER)] == ["resolving", "done"]


async def test_a_shared_file_goes_with_the_last_model_that_names_it(store: DiskModelStore) -> None:
    digest = await upload(store, GGUF)
    await create(store, "one", files={"m.gguf": digest})
    await store.copy("one", "two", CALLER)
    assert manifest(store, "one").digest == manifest(store, "two").digest
    await store.delete("one", CALLER)
    assert store.blobs.whole(digest) and check(store.directory) == []
    await store.delete("two", CALLER)
    assert store.blobs.digests() == [] and store.directory.names("views") == []


async def test_overwriting_in_another_case_replaces_and_frees(store: DiskModelStore) -> None:
    await create(store, "Mine", files={"m.gguf": await upload(store, GGUF)})
    other = await upload(store, GGUF + b"2")
    await create(store, "mINE", files={"m.gguf": other})
    assert [name.short for name in store.manifests.names()] == ["Mine"]
    assert store.blobs.digests() == [other]


async def test_what_is_not_there_cannot_be_copied_or_deleted(store: DiskModelStore) -> None:
    for work in (store.copy("none", "x", CALLER), store.delete("none", CALLER)):
        with pytest.raises(ModelNotFound):
            await work


@pytest.mark.parametrize(
    ("said", "text"),
    [
        ({}, "neither 'from' or 'files' was specified"),
        ({"files": {"config.json": "GGUF"}}, "no files provided to convert"),
        ({"files": {"m.gguf": "TEXT"}}, "supplied file was not in GGUF format"),
        ({"files": {"m.bin": "GGUF"}}, "unknown type"),
        ({"files": {"config.json": "CODE", "m.gguf": "GGUF"}}, "auto_map"),
        ({"base": "x", "quantization": "q9"}, "unsupported quantization type Q9 - supported types are F32, Q4_0"),
        ({"base": "x", "adapters": {"a.safetensors": "x"}}, "adapters are not supported"),
        ({"base": "x", "draft_files": {"d.gguf": "x"}}, "draft models are not supported"),
    ],
)
async def test_what_cannot_be_created_is_refused_before_a_line(store: DiskModelStore, said: Any, text: str) -> None:
    data = {"GGUF": b"GGUF{}", "TEXT": b"text", "CODE": b'{"auto_map": {}}'}
    if "files" in said:
        if said["files"] == {"config.json": "GGUF"}:
            data["GGUF"] = b"{}"
        said = {"files": {name: await upload(store, data[key]) for name, key in said["files"].items()}}
    with refused(InvalidRequest, text):
        await anext(store.create(recipe(**said), "mine", CALLER))


async def test_creating_from_what_is_not_here_pulls_it_first(store: DiskModelStore) -> None:
    said = await create(store, "mine", base="org/small", system="s")
    assert said[0] == "resolving" and said[-1] == "done" and said.count("done") == 1
    assert {name.short for name in store.manifests.names()} == {"mine", "org/small"}


async def test_an_upload_of_other_bytes_is_refused_and_leaves_nothing(store: DiskModelStore) -> None:
    async def content() -> AsyncIterator[bytes]:
        yield b"other"

    wanted = f"sha256:{'0' * 64}"
    found = hashlib.sha256(b"other").hexdigest()
    with refused(InvalidRequest, f'digest mismatch, expected "{wanted}", got "sha256:{found}"'):
        await store.put_blob(wanted, content(), CALLER)
    assert store.directory.names("blobs") == []


async def test_an_upload_that_is_there_is_not_read(store: DiskModelStore) -> None:
    digest = await upload(store, GGUF)

    async def content() -> AsyncIterator[bytes]:
        raise AssertionError("it was read")
        yield b""

    assert await store.put_blob(digest, content(), CALLER) is False


async def test_the_dead_leave_nothing_behind_for_long(store: DiskModelStore, tmp_path: Path) -> None:
    digest = await upload(store, GGUF)
    await create(store, "mine", files={"m.gguf": digest})
    blobs = store.directory.root / "blobs"
    (blobs / ".tmp-999999999-dead").write_bytes(b"half")
    (store.directory.root / "views" / ".tmp-1-dead").mkdir()
    again = DiskModelStore(store.directory.root, names={}, hub=Hub({}))
    await again.open()
    assert store.directory.names("blobs") == [digest.replace(":", "-")]
    assert len(store.directory.names("views")) == 1
    assert check(store.directory) == []

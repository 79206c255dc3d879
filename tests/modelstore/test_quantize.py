"""Weights in another encoding: by the gguf library in a process of its own, so with its own writer here."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator
from contextlib import aclosing
from pathlib import Path
from typing import Any

import pytest

from hyperllama.errors import GatewayError, InvalidRequest
from hyperllama.identity import LOCAL, Caller
from hyperllama.modelstore.disk_store import DiskModelStore
from hyperllama.modelstore.integrity import check
from hyperllama.spi import Progress, Recipe
from tests.support.ollama_words import line, refused

gguf = pytest.importorskip("gguf")
np = pytest.importorskip("numpy")

CALLER = Caller(protocol="test", principal=LOCAL, request_id="r")
EMBED = np.linspace(-1, 1, 64 * 8, dtype=np.float32).reshape(8, 64)


def file(path: Path, type_: Any) -> Path:
    """A GGUF file whose matrices are of ``type_``."""
    writer = gguf.GGUFWriter(str(path), "llama")
    writer.add_context_length(128)
    writer.add_token_list(["a", "b"])
    for name in ("token_embd.weight", "blk.0.attn_q.weight"):
        data = gguf.quants.quantize(EMBED, type_)
        writer.add_tensor(name, data, raw_dtype=type_)
    writer.add_tensor("blk.0.attn_norm.weight", EMBED[0])
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


async def upload(store: DiskModelStore, data: bytes) -> str:
    async def content() -> AsyncIterator[bytes]:
        yield data

    digest = f"sha256:{hashlib.sha256(data).hexdigest()}"
    await store.put_blob(digest, content(), CALLER)
    return digest


def recipe(digest: str, quantize: str, name: str = "m.gguf") -> Recipe:
    return Recipe(files={name: digest}, quantization=quantize)


async def create(store: DiskModelStore, asked: Any) -> list[Progress]:
    return [step async for step in store.create(asked, "made", CALLER)]


def reader(store: DiskModelStore) -> Any:
    (stored,) = store.manifests.all()
    return gguf.GGUFReader(str(store.views.path(stored.digest) / "m.gguf"))


async def test_matrices_are_quantized_and_embeddings_are_not(store: DiskModelStore, tmp_path: Path) -> None:
    source = await upload(store, file(tmp_path / "m.gguf", gguf.GGMLQuantizationType.F16).read_bytes())
    steps = await create(store, recipe(source, "q4_0"))
    said = [step.phase for step in steps]
    assert said[0] == "reading_gguf" and said[-2:] == ["writing", "done"]
    last = [step for step in steps if step.phase == "quantizing"][-1]
    assert last.encodings == ("F16", "Q4_0") and last.completed == last.total > 0
    written = line(last)
    assert (written["status"], written["digest"]) == ("quantizing F16 model to Q4_0", "0" * 19)
    found = reader(store)
    kinds = {tensor.name: tensor.tensor_type.name for tensor in found.tensors}
    assert kinds == {"token_embd.weight": "F32", "blk.0.attn_q.weight": "Q4_0", "blk.0.attn_norm.weight": "F32"}
    assert found.fields["llama.context_length"].contents() == 128
    assert found.fields["tokenizer.ggml.tokens"].contents() == ["a", "b"]
    weights = next(tensor for tensor in found.tensors if tensor.name == "blk.0.attn_q.weight")
    assert np.abs(gguf.quants.dequantize(weights.data, weights.tensor_type) - EMBED).max() < 0.15
    assert check(store.directory) == []


async def test_what_no_engine_loads_becomes_something_one_does(store: DiskModelStore, tmp_path: Path) -> None:
    source = await upload(store, file(tmp_path / "m.gguf", gguf.GGMLQuantizationType.Q8_0).read_bytes())
    assert (await create(store, recipe(source, "f32")))[-1].phase == "done"
    assert {tensor.tensor_type.name for tensor in reader(store).tensors} == {"F32"}


async def test_what_is_quantized_already_or_no_gguf_file_is_refused(store: DiskModelStore, tmp_path: Path) -> None:
    source = await upload(store, file(tmp_path / "m.gguf", gguf.GGMLQuantizationType.Q8_0).read_bytes())
    with refused(InvalidRequest, "quantization is only supported for F16 and F32 models"):
        await create(store, recipe(source, "Q4_0"))
    other = await upload(store, b"\x02\0\0\0\0\0\0\0{}")
    with refused(InvalidRequest, "quantization is only supported for GGUF files"):
        await create(store, recipe(other, "F32", "m.safetensors"))
    assert list(store.manifests.names()) == []


async def test_a_hostile_file_fails_in_a_process_of_its_own(store: DiskModelStore) -> None:
    for data in (b"GGUF" + bytes(100), b"GGUF\x03\0\0\0" + b"\xff" * 64, b"GGUF"):
        with pytest.raises(GatewayError):
            await create(store, recipe(await upload(store, data), "F32"))
    assert list(store.manifests.names()) == []
    assert not any(name.startswith(".tmp-") for name in store.directory.names("blobs"))


async def test_a_client_that_leaves_ends_the_work(store: DiskModelStore, tmp_path: Path) -> None:
    source = await upload(store, file(tmp_path / "m.gguf", gguf.GGMLQuantizationType.F16).read_bytes())
    async with aclosing(store.create(recipe(source, "F32"), "made", CALLER)) as steps:
        while not (await anext(steps)).total:
            pass
    for task in asyncio.all_tasks():
        if task.get_name() == "quantize":
            await asyncio.wait([task])
    assert list(store.manifests.names()) == []
    assert not any(name.startswith(".tmp-") for name in store.directory.names("blobs"))

"""Pulling with the real client from a hub on loopback."""

from __future__ import annotations

import asyncio
import hashlib
import threading
from contextlib import aclosing
from pathlib import Path
from typing import Any

import pytest
from huggingface_hub import get_session

from hyperllama.errors import ConfigError, GatewayError, ModelNotFound, StoreFailed
from hyperllama.hub.reference import chosen, parse
from hyperllama.identity import LOCAL, Caller
from hyperllama.modelstore.disk_store import DiskModelStore
from hyperllama.modelstore.hub import Hub
from hyperllama.modelstore.integrity import check
from hyperllama.modelstore.model_directories import file_name
from hyperllama.spi import Progress
from tests.support.ollama_words import line, refused

CALLER = Caller(protocol="test", principal=LOCAL, request_id="r")


async def pull(store: DiskModelStore, name: str) -> list[Progress]:
    return [step async for step in store.pull(name, CALLER)]


def listed(store: DiskModelStore) -> list[str]:
    return [name.short for name in store.manifests.names()]


async def test_the_lines_of_a_pull_are_ollamas(store: DiskModelStore, hub: Any) -> None:
    steps = await pull(store, "hf.co/org/small")
    weights = hub.repos["org/small"]["model.safetensors"]
    digest = hashlib.sha256(weights).hexdigest()
    said = [step.phase for step in steps]
    assert said[0] == "resolving"
    assert said[-3:] == ["verifying", "writing", "done"]
    large = [step for step in steps if step.phase == "downloading" and step.digest == f"sha256:{digest}"]
    assert large[-1] == Progress("downloading", f"sha256:{digest}", len(weights), len(weights))
    assert line(large[-1])["status"] == f"pulling {digest[:12]}"
    assert listed(store) == ["hf.co/org/small"]
    assert check(store.directory) == []


async def test_pickles_and_code_are_never_fetched(store: DiskModelStore, hub: Any) -> None:
    await pull(store, "org/small")
    names = {path.rpartition("/")[2] for _, path, _ in hub.requests}
    assert "model.safetensors" in names
    assert not names & {"pytorch_model.bin", "modeling.py"}


async def test_a_short_name_is_looked_up_in_the_table(store: DiskModelStore) -> None:
    await pull(store, "short:latest")
    assert listed(store) == ["short"]


@pytest.mark.parametrize("name", ["nobody", "org/nothing", "example.org/org/small", "hf.co/library/x"])
async def test_a_model_that_is_not_there_fails_after_the_first_line(store: DiskModelStore, name: str) -> None:
    steps = store.pull(name, CALLER)
    assert (await anext(steps)).phase == "resolving"
    with refused(ModelNotFound, "pull model manifest: file does not exist"):
        await anext(steps)
    assert listed(store) == []


async def test_a_connection_that_breaks_is_gone_on_with(store: DiskModelStore, hub: Any) -> None:
    hub.cut_after["model.safetensors"] = 700_000
    await pull(store, "org/small")
    assert hub.gets("model.safetensors") == ["", "bytes=524288-"]
    assert check(store.directory) == []


async def test_a_later_pull_goes_on_where_an_earlier_one_was_left(
    store: DiskModelStore, hub: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hyperllama.modelstore.hub.PAUSE", 0.0)  # every piece is told of
    hub.hold["model.safetensors"] = threading.Event()
    async with aclosing(store.pull("org/small", CALLER)) as steps:
        while (await anext(steps)).completed < 262_144:
            pass
        (shared,) = store._pulls.values()
    hub.hold.pop("model.safetensors").set()
    await asyncio.wait([shared.task])
    assert listed(store) == []
    await pull(store, "org/small")
    first, second = hub.gets("model.safetensors")
    assert first == ""
    assert int(second.removeprefix("bytes=").rstrip("-")) >= 262_144
    assert check(store.directory) == []


async def test_wrong_bytes_are_not_kept(store: DiskModelStore, hub: Any) -> None:
    right = hub.repos["org/small"]["model.safetensors"]
    hub.wrong["model.safetensors"] = right[:-1] + b"\xff"
    with refused(StoreFailed, "digest mismatch"):
        await pull(store, "org/small")
    digest = f"sha256:{hashlib.sha256(right).hexdigest()}"
    assert store.blobs.size(digest) is None and store.blobs.partial_size(digest) == 0
    assert listed(store) == []
    hub.wrong.clear()
    await pull(store, "org/small")
    assert check(store.directory) == []


async def test_wrong_bytes_of_a_small_file_are_not_kept(store: DiskModelStore, hub: Any) -> None:
    right = hub.repos["org/small"]["config.json"]
    hub.wrong["config.json"] = right.replace(b"llama", b"lloma")
    with pytest.raises(StoreFailed, match=r"config\.json is not what the Hub says"):
        await pull(store, "org/small")
    assert listed(store) == [] and store.blobs.digests() == []


async def test_a_damaged_blob_is_found_and_fetched_anew(store: DiskModelStore, hub: Any) -> None:
    await pull(store, "org/small")
    digest = f"sha256:{hashlib.sha256(hub.repos['org/small']['model.safetensors']).hexdigest()}"
    blob = store.directory.root / "blobs" / digest.replace(":", "-")
    blob.write_bytes(blob.read_bytes()[:-1] + b"\xff")
    assert check(store.directory) == [f"{digest} is damaged"]
    await pull(store, "org/small")
    assert check(store.directory) == []


async def test_a_repository_that_asks_for_its_code_is_refused(store: DiskModelStore, hub: Any) -> None:
    hub.repos["org/small"]["config.json"] = b'{"auto_map":{"AutoModel":"modeling.Evil"}}'
    with pytest.raises(StoreFailed, match="auto_map"):
        await pull(store, "org/small")
    assert listed(store) == [] and hub.gets("model.safetensors") == []


async def test_two_clients_share_one_download(store: DiskModelStore, hub: Any) -> None:
    hold = hub.hold["model.safetensors"] = threading.Event()
    first = asyncio.create_task(pull(store, "org/small"))
    await asyncio.to_thread(hub.held.wait, 30)
    second = asyncio.create_task(pull(store, "ORG/Small:latest"))
    third = store.pull("org/small", CALLER)
    await anext(third)
    await anext(third)
    await third.aclose()  # one that leaves stops nobody
    hold.set()
    for steps in await asyncio.gather(first, second):
        assert steps[-1].phase == "done"
    assert hub.gets("model.safetensors") == [""]


async def test_two_repositories_with_the_same_weights_do_not_disturb_each_other(
    store: DiskModelStore, hub: Any
) -> None:
    hub.repos["org/twin"] = {**hub.repos["org/small"], "tokenizer.json": b'{"added_tokens":[],"twin":1}'}
    hold = hub.hold["model.safetensors"] = threading.Event()
    tasks = [asyncio.create_task(pull(store, name)) for name in ("org/small", "org/twin")]
    await asyncio.to_thread(hub.held.wait, 30)
    hold.set()
    for steps in await asyncio.gather(*tasks):
        assert steps[-1].phase == "done"
    assert hub.gets("model.safetensors") == [""]
    assert check(store.directory) == []


@pytest.mark.parametrize("other", ["look", "pull", "push"])
async def test_a_transfer_under_way_keeps_its_connection_when_another_begins(
    store: DiskModelStore, hub: Any, other: str
) -> None:
    hub.repos["org/twin"] = {**hub.repos["org/small"], "model.safetensors": b"\x02\0\0\0\0\0\0\0{}"}
    beside = Hub({"HF_ENDPOINT": hub.url, "HF_TOKEN": "hf_writes"})
    await pull(store, "org/twin")
    hold = hub.hold["model.safetensors"] = threading.Event()
    task = asyncio.create_task(pull(store, "org/small"))
    await asyncio.to_thread(hub.held.wait, 30)
    client = get_session()
    del hub.hold["model.safetensors"]
    if other == "look":
        await asyncio.to_thread(beside.look, parse("org/twin"))
    elif other == "pull":
        await store.delete("org/twin", CALLER)
        await pull(store, "org/twin")
    else:
        (layer, *_) = (await asyncio.to_thread(store.manifests.all))[0].manifest.layers
        await asyncio.to_thread(beside.send, "org/pushed", [layer], store.blobs, report=lambda _: None)
    assert get_session() is client and not client.is_closed
    hold.set()
    assert (await task)[-1].phase == "done"
    assert all(asked == "" for asked in hub.gets("model.safetensors"))
    assert check(store.directory) == []


async def test_a_gateway_that_stops_tells_those_who_wait(store: DiskModelStore, hub: Any) -> None:
    hold = hub.hold["model.safetensors"] = threading.Event()
    task = asyncio.create_task(pull(store, "org/small"))
    await asyncio.to_thread(hub.held.wait, 30)
    closing = asyncio.create_task(store.close())
    await asyncio.sleep(0)  # it has asked the download to stop
    hold.set()
    with pytest.raises(StoreFailed, match="pull again to go on"):
        await task
    await closing


async def test_a_download_nobody_waits_for_stops(store: DiskModelStore, hub: Any) -> None:
    hold = hub.hold["model.safetensors"] = threading.Event()
    task = asyncio.create_task(pull(store, "org/small"))
    await asyncio.to_thread(hub.held.wait, 30)
    (shared,) = store._pulls.values()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    hold.set()
    await asyncio.wait([shared.task])
    assert store._pulls == {} and listed(store) == []


async def test_more_than_fits_is_refused_before_a_byte_is_fetched(
    store: DiskModelStore, hub: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shutil.disk_usage", lambda _: type("Usage", (), {"free": 17 * 2**20})())
    hub.repos["org/small"]["model.safetensors"] = bytes(2 * 2**20)
    with pytest.raises(StoreFailed, match="not enough space on the disk"):
        await pull(store, "org/small")
    assert hub.gets("model.safetensors") == [] and hub.gets("config.json") == []


async def test_a_model_no_engine_can_load_is_not_listed(store: DiskModelStore, shelf: Any) -> None:
    shelf.refuse = "models.org/small: MAX cannot run it"
    with pytest.raises(GatewayError, match=r"^MAX cannot run it"):
        await pull(store, "org/small")
    assert listed(store) == []


async def test_an_offline_gateway_says_so(
    tmp_path: Path, store: DiskModelStore, hub: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    import huggingface_hub.constants

    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(StoreFailed, match="offline"):
        await pull(store, "org/small")


async def test_pushing_needs_a_token(store: DiskModelStore) -> None:
    await pull(store, "org/small")
    with pytest.raises(StoreFailed, match="unauthorized: set HF_TOKEN"):
        async for _ in store.push("org/small", CALLER):
            pass


async def test_pushing_sends_the_files_with_the_gateways_token(store: DiskModelStore, hub: Any) -> None:
    await pull(store, "org/small")
    store._hub = Hub({"HF_ENDPOINT": hub.url, "HF_TOKEN": "hf_test"})
    steps = [step.phase async for step in store.push("org/small", CALLER)]
    assert steps[0] == "locating" and steps[-2:] == ["publishing", "done"]
    sent = {name: data for name, data in hub.repos["org/small"].items() if not name.endswith((".bin", ".py"))}
    assert hub.pushed == sent
    assert set(hub.tokens) == {"Bearer hf_test"}


async def test_pushing_what_is_not_here_says_so_in_the_stream(store: DiskModelStore) -> None:
    steps = store.push("org/none", CALLER)
    assert [(await anext(steps)).phase, (await anext(steps)).phase] == [
        "locating",
        "not_located",
    ]
    with pytest.raises(ModelNotFound):
        await anext(steps)


GGUFS = (
    "README.md", "mmproj-model-f16.gguf", "m-Q4_0_4_4.gguf", "m-Q4_0.gguf", "m-Q4_K_M.gguf", "m-Q6_K.gguf",
    "m-Q8_0-00001-of-00002.gguf", "m-Q8_0-00002-of-00002.gguf", "deep/m-Q4_K_S.gguf",
)  # fmt: skip


@pytest.mark.parametrize(
    ("quant", "file"),
    [
        (None, "m-Q4_K_M.gguf"),
        ("q4_k_m", "m-Q4_K_M.gguf"),
        ("Q4_0", "m-Q4_0.gguf"),
        ("Q4_0_4", "m-Q4_0_4_4.gguf"),
        ("Q8_0", None),
        ("Q4_K_S", None),
        ("f16", None),
    ],
)
def test_of_many_gguf_files_the_one_that_was_asked_for_is_fetched(quant: str | None, file: str | None) -> None:
    """Never one part of several, nor the eyes of a model that sees."""
    assert chosen(GGUFS, quant) == ([] if file is None else ["README.md", file])


async def test_a_repository_of_gguf_files_alone_is_pulled_by_its_quantization(store: DiskModelStore, hub: Any) -> None:
    hub.repos["org/mix"] = {name: b"GGUF" + name.encode() for name in GGUFS}
    await pull(store, "hf.co/org/mix:Q6_K")
    (stored,) = store.manifests.all()
    assert stored.name.short == "hf.co/org/mix:Q6_K"
    assert [layer.filename for layer in stored.manifest.layers] == ["README.md", "m-Q6_K.gguf"]
    with pytest.raises(StoreFailed, match="holds no GGUF file with 'Q8_0' in its name"):
        await pull(store, "hf.co/org/mix:Q8_0")


async def test_b6_an_encoders_pooling_is_pulled_and_laid_out(store: DiskModelStore, hub: Any) -> None:
    files = {"README.md": b"a", "config.json": b"{}", "model.safetensors": b"weights", "modules.json": b"[]"}
    nested = {"1_Pooling/config.json": b'{"pooling_mode_cls_token": true}', "2_Dense/model.safetensors": b"no"}
    hub.repos["org/encoder"] = {**files, **nested, "onnx/config.json": b"no", "1_Pooling/deep/config.json": b"no"}
    await pull(store, "org/encoder")
    (stored,) = store.manifests.all()
    assert sorted(layer.filename for layer in stored.manifest.layers) == ["1_Pooling/config.json", *files]
    view = store.views.path(stored.digest)
    assert (view / "1_Pooling" / "config.json").read_bytes() == nested["1_Pooling/config.json"]
    assert sorted(path.name for path in view.iterdir()) == ["1_Pooling", *files]


@pytest.mark.parametrize("name", ["../config.json", "1_P/../config.json", "1_Pooling/x.json", "a/1_P/config.json"])
def test_b6_no_other_file_of_a_model_lies_in_a_folder(name: str) -> None:
    with pytest.raises(ConfigError):
        file_name(name)

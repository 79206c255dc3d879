"""The model store through the running command: the official client, a hub on loopback, MAX for the models."""

from __future__ import annotations

import hashlib
import importlib.util
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import httpx
import msgspec
import ollama
import pytest

from tests.support.gguf_files import lone

pytestmark = [
    pytest.mark.max,
    pytest.mark.skipif(importlib.util.find_spec("max") is None, reason="the [max] extra is not installed"),
]

ROOT = Path(__file__).parents[2]
TINY = ROOT / "plugins" / "hyperllama_builtin" / "weights" / "hyperllama-tiny"
NAMES = ("config.json", "generation_config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json")
CONFIG = """
[server]
port = 0
[store.names]
tiny-hub = "hf:org/tiny"
[models.sim]
engine = "sim"
"""


@pytest.fixture(scope="module")
def hub(loopback_hub: Callable[..., AbstractContextManager[Any]]) -> Iterator[Any]:
    files = {name: (TINY / name).read_bytes() for name in NAMES}
    with loopback_hub({"org/tiny": files}) as found:
        yield found


@contextmanager
def official(url: str) -> Iterator[ollama.Client]:
    client = ollama.Client(host=url)
    try:
        yield client
    finally:
        client._client.close()


def digest(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def test_every_management_method_of_the_official_client(start: Any, hub: Any) -> None:
    gateway = start(CONFIG, HF_ENDPOINT=hub.url)
    with official(gateway.url) as client:
        lines = list(client.pull("org/tiny", stream=True))
        assert [lines[0].status, *(line.status for line in lines[-3:])] == [
            "pulling manifest",
            "verifying sha256 digest",
            "writing manifest",
            "success",
        ]
        weights = digest((TINY / "model.safetensors").read_bytes())
        assert any(line.digest == weights and line.completed == line.total for line in lines)
        assert client.pull("tiny-hub").status == "success"
        assert len(hub.gets("model.safetensors")) == 1

        done = client.create(
            "mine", from_="org/tiny", system="You are brief.", parameters={"temperature": 0, "seed": 7}
        )
        assert done.status == "success"
        shown = client.show("mine")
        assert shown.details is not None and shown.details.parent_model == "org/tiny:latest"
        assert "temperature" in (shown.parameters or "") and "seed" in (shown.parameters or "")
        raw = httpx.post(f"{gateway.url}/api/show", json={"model": "mine"}).json()
        assert raw["system"] == "You are brief."

        client.copy("mine", "gpt-4o-mini")
        listed = {model.model: model for model in client.list().models}
        assert {"mine:latest", "gpt-4o-mini:latest", "org/tiny:latest", "tiny-hub:latest"} <= listed.keys()
        assert listed["mine:latest"].digest == listed["gpt-4o-mini:latest"].digest
        assert len(listed["mine:latest"].digest or "") == 64

        client.delete("mine")
        assert "mine:latest" not in {model.model for model in client.list().models}
        with pytest.raises(ollama.ResponseError, match="model 'mine' not found"):
            client.delete("mine")
        with pytest.raises(ollama.ResponseError, match="pull model manifest: file does not exist"):
            client.pull("org/none")
        with pytest.raises(ollama.ResponseError, match='model "none" not found'):
            client.copy("none", "other")
        assert httpx.post(f"{gateway.url}/api/pull", json={"model": "org/none", "stream": False}).status_code == 500


def test_uploaded_files_become_a_model_that_answers(start: Any, hub: Any, tmp_path: Path) -> None:
    """Their context is as long as the built-in model's, so that both are compiled to the same graphs."""
    folder = tmp_path / "uploaded"
    folder.mkdir()
    for name in NAMES:
        (folder / name).write_bytes((TINY / name).read_bytes())
    shape = json.loads((folder / "config.json").read_text("utf-8"))
    (folder / "config.json").write_text(json.dumps({**shape, "max_position_embeddings": 1024}), "utf-8")
    gateway = start(CONFIG, HF_ENDPOINT=hub.url)
    with official(gateway.url) as client:
        files = {}
        for name in NAMES:
            data = (folder / name).read_bytes()
            url = f"{gateway.url}/api/blobs/{digest(data)}"
            assert httpx.head(url).status_code == 404
            assert httpx.post(url, content=data).status_code == 201
            assert httpx.post(url, content=data).status_code == 200
            assert httpx.head(url).status_code == 200
            files[name] = client.create_blob(folder / name)
        client.create(
            "uploaded", files=files, messages=[{"role": "user", "content": "hi"}], parameters={"temperature": 0}
        )
        raw = httpx.post(f"{gateway.url}/api/show", json={"model": "uploaded"}).json()
        assert raw["messages"] == [{"role": "user", "content": "hi"}]
        before = next(model for model in client.list().models if model.model == "uploaded:latest")
        answer = client.chat("uploaded", messages=[{"role": "user", "content": "Hello"}], options={"num_predict": 8})
        assert answer.message.content
        after = next(model for model in client.list().models if model.model == "uploaded:latest")
        assert (after.digest, after.modified_at) == (before.digest, before.modified_at)
        assert [model.model for model in client.ps().models] == ["uploaded:latest"]
        client.delete("uploaded")
        with pytest.raises(ollama.ResponseError, match="not found"):
            client.chat("uploaded", messages=[{"role": "user", "content": "Hello"}])


def test_a_large_upload_is_not_held_to_the_limit_of_json_bodies(start: Any) -> None:
    gateway = start(CONFIG)
    data = b"GGUF" + bytes(20 * 2**20)

    def pieces() -> Iterator[bytes]:
        for at in range(0, len(data), 2**16):
            yield data[at : at + 2**16]

    assert httpx.post(f"{gateway.url}/api/blobs/{digest(data)}", content=pieces(), timeout=60).status_code == 201
    wrong = httpx.post(f"{gateway.url}/api/blobs/sha256:{'0' * 64}", content=data, timeout=60)
    assert wrong.status_code == 400
    assert wrong.json()["error"] == f'digest mismatch, expected "sha256:{"0" * 64}", got "{digest(data)}"'


def test_models_of_the_store_are_there_after_a_restart_and_for_the_command_line(start: Any, hub: Any) -> None:
    gateway = start(CONFIG, HF_ENDPOINT=hub.url)
    with official(gateway.url) as client:
        client.copy("sim", "alias")
    assert gateway.stop() == 0
    store = gateway.folder / "store"
    command = [sys.executable, "-m", "hyperllama", "--config", str(gateway.folder / "config.toml"), "models"]

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        environ = {**os.environ, "HYPERLLAMA_STORE_PATH": str(store), "HF_ENDPOINT": hub.url}
        return subprocess.run([*command, *arguments], env=environ, capture_output=True, text=True, timeout=100)

    assert "alias" in run("list").stdout
    pulled = run("pull", "org/tiny")
    assert pulled.returncode == 0 and "Done" in pulled.stdout, pulled.stderr
    assert "llama" in run("show", "org/tiny").stdout
    assert run("copy", "org/tiny", "second").returncode == 0
    assert run("check").stdout.strip() == "The store is complete."
    assert run("delete", "org/tiny", "alias").returncode == 0
    missing = run("delete", "alias")
    assert missing.returncode == 2 and "not found" in missing.stderr
    audit = [*command[:-1], "audit", "--act", "models.", "--json"]
    environ = {**os.environ, "HYPERLLAMA_STORE_PATH": str(store)}
    shown = subprocess.run(audit, env=environ, capture_output=True, text=True, timeout=100).stdout
    acts = [msgspec.json.decode(line) for line in shown.splitlines()][::-1]
    assert [(act["act"], act["subject"], act["outcome"]) for act in acts] == [
        ("models.copy", "alias:latest", "done"),
        ("models.pull", "org/tiny", "done"),
        ("models.copy", "second", "done"),
        ("models.delete", "org/tiny", "done"),
        ("models.delete", "alias", "done"),
        ("models.delete", "alias", "model_not_found"),
    ]
    assert [act["actor"].partition(":")[0] for act in acts[1:]] == ["cli"] * 5
    again = start(CONFIG, HYPERLLAMA_STORE_PATH=str(store))
    with official(again.url) as client:

        def listed() -> set[str]:
            return {model.model or "" for model in client.list().models}

        assert "second:latest" in listed() and not listed() & {"org/tiny:latest", "alias:latest"}
        assert run("copy", "second", "third").returncode == 0
        assert "third:latest" in listed()
        assert client.show("third").details is not None
        assert run("delete", "third").returncode == 0
        assert "third:latest" not in listed()
        with pytest.raises(ollama.ResponseError, match="not found"):
            client.show("third")


@pytest.mark.nightly
def test_a_repository_that_holds_nothing_but_a_gguf_file_becomes_a_model_that_answers(start: Any, hub: Any) -> None:
    """Nightly, for its graphs are others than those of safetensors and are compiled for minutes."""
    hub.repos["org/tiny-GGUF"] = {"tiny-F32.gguf": lone(TINY), "README.md": b"---\nlicense: mit\n---\n"}
    gateway = start(CONFIG, HF_ENDPOINT=hub.url)
    question = {"messages": [{"role": "user", "content": "Hello"}], "options": {"temperature": 0, "num_predict": 16}}
    with official(gateway.url) as client:
        assert client.pull("hf.co/org/tiny-GGUF:F32").status == "success"
        shown = httpx.post(f"{gateway.url}/api/show", json={"model": "hf.co/org/tiny-GGUF:F32"}).json()
        assert shown["details"]["format"] == "gguf" and shown["license"] == "mit"
        assert shown["model_info"]["llama.context_length"] == 2048
        assert {"name": "token_embd.weight", "type": "F32", "shape": [192, 2048]} in shown["tensors"]
        answer = client.chat("hf.co/org/tiny-GGUF:F32", **question)
        client.pull("org/tiny")
        own = client.chat("org/tiny", **question)
        assert answer.message.content and answer.message.content == own.message.content


def test_a_hub_model_of_the_configuration_is_fetched_once_and_then_needs_no_hub(
    start: Any, hub: Any, tmp_path: Path
) -> None:
    config = "[server]\nport = 0\n[models.remote]\nsource = 'hf:org/tiny'\nmax_length = 1024\n"
    body = {"model": "remote", "prompt": "Hello", "stream": False, "options": {"num_predict": 4, "temperature": 0}}
    home = {"HF_HOME": str(tmp_path / "hf")}
    first = start(config, HF_ENDPOINT=hub.url, **home)
    online = httpx.post(f"{first.url}/api/generate", json=body, timeout=600)
    assert online.status_code == 200, online.text
    assert '"phase":"downloading"' in first.log()
    assert first.stop() == 0
    second = start(config, HF_HUB_OFFLINE="1", HF_ENDPOINT="http://127.0.0.1:9", **home)
    assert httpx.post(f"{second.url}/api/show", json={"model": "remote"}).json()["details"]["family"] == "llama"
    offline = httpx.post(f"{second.url}/api/generate", json=body, timeout=600)
    assert offline.json()["response"] == online.json()["response"]
    third = start(config.replace("org/tiny", "org/absent"), HF_HUB_OFFLINE="1", **home)
    absent = httpx.post(f"{third.url}/api/generate", json=body, timeout=60)
    assert absent.status_code == 500
    assert "'hf:org/absent' could not be fetched" in absent.json()["error"]

"""Keys made on the command line, asked for by the running gateway, in both dialects."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import ollama
import openai
import pytest

CONFIG = """
[server]
port = 0
[models.sim]
engine = "sim"
[models.other]
engine = "sim"
[limits.key]
requests = "1000/minute"
"""


def keys(store: Path, *arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "hyperllama", "keys", *arguments],
        capture_output=True,
        text=True,
        env={**os.environ, "HYPERLLAMA_STORE_PATH": str(store)},
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def secret(printed: str) -> str:
    found = re.search(r"hlg_[A-Za-z0-9_-]{40,}", printed)
    assert found, printed
    return found.group()


def eventually(status: int, ask: Callable[[], httpx.Response]) -> httpx.Response:
    deadline = time.monotonic() + 10
    while (answer := ask()).status_code != status:
        assert time.monotonic() < deadline, (answer.status_code, answer.text)
    return answer


def test_a_key_is_made_asked_for_narrowed_and_revoked(tmp_path: Path, start: Callable[..., Any]) -> None:
    store = tmp_path / "keys"
    gateway = start(CONFIG, HYPERLLAMA_STORE_PATH=str(store))
    body = {"model": "sim", "messages": [{"role": "user", "content": "hi"}]}

    def ask(key: str | None = None, model: str = "sim") -> httpx.Response:
        headers = {"authorization": f"Bearer {key}"} if key else {}
        return httpx.post(f"{gateway.url}/v1/chat/completions", json={**body, "model": model}, headers=headers)

    assert ask().status_code == 200  # no keys yet: this machine's own user
    key = secret(keys(store, "create", "alice", "--model", "sim"))
    refused = eventually(401, ask)
    assert refused.json()["error"]["code"] == "invalid_api_key"
    assert eventually(200, lambda: ask(key)).json()["choices"]
    assert ask(key, "other").status_code == 404
    assert ask(key + "x").status_code == 401
    native = httpx.post(f"{gateway.url}/api/chat", json=body)
    assert (native.status_code, type(native.json()["error"])) == (401, str)
    assert httpx.get(f"{gateway.url}/health").status_code == 200
    assert httpx.get(f"{gateway.url}/metrics", headers={"x-api-key": key}).status_code == 403

    with openai.OpenAI(base_url=f"{gateway.url}/v1", api_key=key) as client:
        assert [model.id for model in client.models.list()] == ["sim"]
    theirs = ollama.Client(host=gateway.url, headers={"authorization": f"Bearer {key}"})
    assert [model.model for model in theirs.list().models] == ["sim:latest"]
    with pytest.raises(ollama.ResponseError, match="permission"):
        theirs.delete("sim")
    theirs._client.close()

    keys(store, "revoke", "alice")
    eventually(401, lambda: ask(key))
    assert key not in gateway.log()
    assert '"key":"alice"' in gateway.log()
    for file in store.rglob("*"):
        assert not file.is_file() or key.encode() not in file.read_bytes()

"""Answers of one dialect on the paths of another: names of ollama.com are refused alike wherever they are sent."""

from __future__ import annotations

import re
from pathlib import Path

import httpx
import pytest

import hyperllama
from hyperllama.app.application import Application, create_app
from hyperllama.config import Config, PluginChoice, Server, Store


def serving(tmp_path: Path, *, disable: tuple[str, ...] = (), openapi: bool = False) -> Application:
    return create_app(
        Config(server=Server(openapi=openapi), store=Store(path=str(tmp_path)), plugins=PluginChoice(disabled=disable))
    )


def client_of(app: Application) -> httpx.AsyncClient:
    transport = httpx.ASGITransport(app=app, client=("127.0.0.1", 1))  # type: ignore[arg-type]
    return httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1")


CORE = Path(hyperllama.__file__).parent
#: A sentence about the product, a directory of every store on disk, variables that a child does not inherit.
PRODUCT = {
    "cli/commands.py": "One port that speaks Ollama, OpenAI and Anthropic",
    "names.py": 'HOST = "registry.ollama.ai"',
    "testing/child.py": '"OLLAMA_"',
}


def naming(root: Path, word: str) -> list[tuple[str, str]]:
    return [
        (path.relative_to(root).as_posix(), line)
        for path in root.rglob("*.py")
        for line in path.read_text().splitlines()
        if re.search(word, line, re.IGNORECASE)
    ]


def test_the_core_names_no_dialect_of_a_vendor() -> None:
    assert [hit for hit in naming(CORE, "ollama") if PRODUCT.get(hit[0], "\0") not in hit[1]] == []
    assert {hit[0] for hit in naming(CORE, "ollama")} == PRODUCT.keys()  # the search finds what is there


@pytest.mark.parametrize("name", ["m:cloud", "m:CLOUD", "m:20b-cloud", "a/m:cloud"])
async def test_a_name_of_ollama_com_is_refused_in_the_same_words_on_every_path(tmp_path: Path, name: str) -> None:
    said = "ollama cloud is disabled: remote model is unavailable"
    message = [{"role": "user", "content": "a"}]
    bodies = {
        "/api/chat": {"messages": message},
        "/v1/chat/completions": {"messages": message},
        "/v1/completions": {"prompt": "a"},
        "/v1/embeddings": {"input": "a"},
        "/v1/messages": {"messages": message, "max_tokens": 1},
    }
    async with client_of(serving(tmp_path)) as client:
        for path, body in bodies.items():
            reply = await client.post(path, json={"model": name, **body})
            assert (reply.status_code, reply.content) == (403, b'{"error":"%s"}' % said.encode()), path
            assert reply.headers["content-type"] == "application/json; charset=utf-8"
        reply = await client.get(f"/v1/models/{name}")
        assert reply.content == b'{"error":"ollama cloud is disabled: remote model details are unavailable"}'


async def test_without_the_dialect_such_a_name_is_a_model_that_is_not_there(tmp_path: Path) -> None:
    async with client_of(serving(tmp_path, disable=("ollama",))) as client:
        reply = await client.post("/v1/embeddings", json={"model": "m:cloud", "input": "a"})
    assert (reply.status_code, reply.json()["error"]["code"]) == (404, "model_not_found")


async def test_the_document_knows_both_bodies_of_a_refusal(tmp_path: Path) -> None:
    async with client_of(serving(tmp_path, openapi=True)) as client:
        document = (await client.get("/openapi.json")).json()
    described = document["components"]["responses"]["openai.403"]["content"]["application/json"]["schema"]["anyOf"]
    assert {"$ref": "#/components/schemas/ErrorText"} in described
    assert len(described) == 2

"""The OpenAPI document is true to the Structs, and there only when it was asked for."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx
import pytest

from hyperllama.config import Config, Server, Store
from hyperllama.web.app import Application, create_app


def serving(tmp_path: Path, *, openapi: bool) -> Application:
    return create_app(Config(server=Server(openapi=openapi), store=Store(path=str(tmp_path))))


def client_of(app: Application) -> httpx.AsyncClient:
    transport = httpx.ASGITransport(app=app, client=("127.0.0.1", 1))  # type: ignore[arg-type]
    return httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1")


def schema_of(document: dict[str, Any], spoken: dict[str, Any]) -> dict[str, Any]:
    reference = spoken["content"]["application/json"]["schema"]["$ref"]
    found: dict[str, Any] = document["components"]["schemas"][reference.rsplit("/", 1)[1]]
    return found


async def test_the_document_says_what_the_routes_take_and_give(tmp_path: Path) -> None:
    async with client_of(serving(tmp_path, openapi=True)) as client:
        document = (await client.get("/openapi.json")).json()
    assert document["openapi"] == "3.1.0"
    operation = document["paths"]["/v1/chat/completions"]["post"]
    schema = schema_of(document, operation["requestBody"])
    assert set(schema["required"]) == {"model", "messages"}
    assert schema["properties"]["temperature"] == {
        "anyOf": [{"type": "number", "minimum": 0, "maximum": 2}, {"type": "null"}],
        "default": None,
    }
    assert document["paths"]["/v1/models/{model}"]["get"]["parameters"][0]["name"] == "model"
    assert document["paths"]["/v1/messages"]["post"]


async def test_ollamas_routes_are_described_as_its_clients_write_them(tmp_path: Path) -> None:
    async with client_of(serving(tmp_path, openapi=True)) as client:
        document = (await client.get("/openapi.json")).json()
    chat = document["paths"]["/api/chat"]["post"]
    asked = schema_of(document, chat["requestBody"])["properties"]
    assert {"type": "string"} in asked["keep_alive"]["anyOf"]
    assert set(chat["responses"]["200"]["content"]) == {"application/json", "application/x-ndjson"}
    assert "message" in schema_of(document, chat["responses"]["200"])["properties"]
    embed = schema_of(document, document["paths"]["/api/embed"]["post"]["requestBody"])["properties"]
    assert {"type": "string"} in embed["input"]["anyOf"]
    create = schema_of(document, document["paths"]["/api/create"]["post"]["requestBody"])["properties"]
    assert "from" in create
    assert set(document["paths"]["/api/blobs/{digest}"]["post"]["responses"]) == {"201", "default"}
    undescribed = [
        path
        for path, methods in document["paths"].items()
        if path.startswith("/api/") and "post" in methods and "requestBody" not in methods["post"]
    ]
    bodyless = ["/api/blobs/{digest}", "/api/me", "/api/signout"]
    assert sorted(undescribed) == [
        *bodyless[:1],
        "/api/experimental/web_fetch",
        "/api/experimental/web_search",
        *bodyless[1:],
    ]


async def test_every_reference_in_the_document_leads_somewhere(tmp_path: Path) -> None:
    async with client_of(serving(tmp_path, openapi=True)) as client:
        document = (await client.get("/openapi.json")).json()
    names = set(document["components"]["schemas"])

    def references(value: object) -> set[str]:
        match value:
            case dict():
                own = {value["$ref"].rsplit("/", 1)[1]} if isinstance(value.get("$ref"), str) else set()
                return own.union(*map(references, value.values()))
            case list():
                return set().union(*map(references, value))
        return set()

    assert references(document) <= names


async def test_the_page_is_html_without_scripts(tmp_path: Path) -> None:
    async with client_of(serving(tmp_path, openapi=True)) as client:
        reply = await client.get("/docs")
    assert reply.headers["content-type"].startswith("text/html")
    assert "POST /v1/chat/completions" in reply.text
    assert 'href="#CompletionRequest"' in reply.text
    assert "<script" not in reply.text
    assert not any(outside in reply.text for outside in ("src=", 'href="http', "url(", "@import"))


@pytest.mark.parametrize("path", ["/openapi.json", "/docs"])
async def test_nothing_is_there_unless_the_config_says_so(tmp_path: Path, path: str) -> None:
    async with client_of(serving(tmp_path, openapi=False)) as client:
        assert (await client.get(path)).status_code == 404

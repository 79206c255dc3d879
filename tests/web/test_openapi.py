"""The OpenAPI document is true to the Structs, and there only when it was asked for."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx
import pytest
import schemathesis

from hyperllama.app.application import Application, create_app
from hyperllama.config import Config, Server, Store


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


async def test_components_keep_the_names_that_generated_clients_have(tmp_path: Path) -> None:
    async with client_of(serving(tmp_path, openapi=True)) as client:
        document = (await client.get("/openapi.json")).json()
    usage = schema_of(document, document["paths"]["/admin/v1/usage"]["get"]["responses"]["200"])
    assert usage["properties"]["lines"]["items"] == {"$ref": "#/components/schemas/Line"}
    assert {"day", "key", "model", "requests"} <= set(document["components"]["schemas"]["Line"]["properties"])


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
    blob = document["paths"]["/api/blobs/{digest}"]["post"]["responses"]
    assert {"200", "201"} <= set(blob)
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
    kinds = ("schemas", "responses")
    names = {f"#/components/{kind}/{name}" for kind in kinds for name in document["components"][kind]}

    def references(value: object) -> set[str]:
        match value:
            case dict():
                own = {value["$ref"]} if isinstance(value.get("$ref"), str) else set()
                return own.union(*map(references, value.values()))
            case list():
                return set().union(*map(references, value))
        return set()

    assert references(document) <= names
    schemathesis.openapi.from_dict(document).validate()
    operations = [operation for methods in document["paths"].values() for operation in methods.values()]
    assert len({operation["operationId"] for operation in operations}) == len(operations)


async def test_what_a_query_may_hold_is_said_and_held_to(tmp_path: Path) -> None:
    async with client_of(serving(tmp_path, openapi=True)) as client:
        paths = (await client.get("/openapi.json")).json()["paths"]
        asked = {
            path: {each["name"]: each["schema"] for each in paths[path]["get"]["parameters"] if each["in"] == "query"}
            for path in ("/v1/batches", "/v1/files", "/v1/responses/{response_id}", "/api/ps")
        }
        assert asked["/v1/batches"] == {
            "after": {"type": "string"},
            "limit": {"type": "integer", "minimum": 1, "maximum": 100, "default": 20},
        }
        assert asked["/v1/files"]["order"]["enum"] == ["asc", "desc"]
        assert set(asked["/v1/responses/{response_id}"]) == {"stream", "starting_after"}
        assert set(asked["/api/ps"]) == {"progress"}
        for query in ("limit=0", "limit=101", "limit=x", "limit=", f"limit={'9' * 5000}"):
            reply = await client.get(f"/v1/batches?{query}")
            assert (reply.status_code, reply.json()["error"]["param"]) == (400, "limit"), query
        assert (await client.get("/v1/files?order=up")).json()["error"]["param"] == "order"
        assert (await client.get("/api/ps?progress=&limit=x")).status_code == 200


async def test_an_upload_is_a_form(tmp_path: Path) -> None:
    async with client_of(serving(tmp_path, openapi=True)) as client:
        document = (await client.get("/openapi.json")).json()
    form = document["paths"]["/v1/files"]["post"]["requestBody"]["content"]["multipart/form-data"]["schema"]
    assert form["required"] == ["file", "purpose"]
    assert form["properties"]["file"] == {"type": "string", "contentMediaType": "application/octet-stream"}
    assert form["properties"]["expires_after[seconds]"] == {"type": "integer", "minimum": 3600, "maximum": 2_592_000}


@pytest.mark.parametrize(
    ("path", "overloaded", "body"),
    [
        ("/v1/chat/completions", "503", "hyperllama_openai.wire.errors.ErrorEnvelope"),
        ("/v1/messages", "529", "hyperllama_anthropic.wire.ErrorEnvelope"),
        ("/api/chat", "503", "ErrorText"),
    ],
)
async def test_errors_are_described_as_the_dialect_spells_them(
    tmp_path: Path, path: str, overloaded: str, body: str
) -> None:
    async with client_of(serving(tmp_path, openapi=True)) as client:
        document = (await client.get("/openapi.json")).json()
    responses = document["paths"][path]["post"]["responses"]
    assert {"200", "400", "401", "403", "404", "413", "429", "500", overloaded} <= set(responses)
    for status in ("401", "429", overloaded):
        described = document["components"]["responses"][responses[status]["$ref"].rsplit("/", 1)[1]]
        assert described["content"]["application/json"]["schema"] == {"$ref": f"#/components/schemas/{body}"}
    assert not {"401", "403", "429"} & set(document["paths"]["/health"]["get"]["responses"])


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

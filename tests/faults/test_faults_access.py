"""Nobody comes in by accident: every route, every method, every spelling."""

from __future__ import annotations

import itertools
import re
from collections.abc import AsyncIterator, Iterable
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest
from litestar import get

from hyperllama import hookimpl
from hyperllama.app.application import Application, create_app
from hyperllama.config import Config, Store
from hyperllama.errors import ConfigError
from hyperllama.identity import PERMISSIONS, Credentials, Principal
from hyperllama.models import ModelSpec
from hyperllama.spi import AuthProvider, ErrorReply, WireProtocol

PUBLIC = {
    ("GET", "/"),
    ("HEAD", "/"),
    ("GET", "/api/version"),
    ("HEAD", "/api/version"),
    ("GET", "/health"),
    ("HEAD", "/health"),
    ("HEAD", "/ready"),
    ("GET", "/ready"),
}


class Keys:
    name = "test-keys"

    async def authenticate(self, credentials: Credentials) -> Principal | None:
        match credentials.token:
            case "full":
                return Principal(id="full", permissions=frozenset({"infer", "models:read", "models:write", "admin"}))
            case str(name) if name.startswith("only-"):
                return Principal(id=name, permissions=frozenset({name.removeprefix("only-")}))  # type: ignore[arg-type]
            case "nothing":
                return Principal(id="nothing", permissions=frozenset())
        return None


class KeysPlugin:
    @hookimpl
    def hyperllama_auth_providers(self, config: Config) -> Iterable[AuthProvider]:
        return (Keys(),)


CONFIG = Config(models={"health": ModelSpec(name="health", engine="sim"), "sim": ModelSpec(name="sim", engine="sim")})


@pytest.fixture
async def app(tmp_path: Path) -> AsyncIterator[Application]:
    made = create_app(msgspec.structs.replace(CONFIG, store=Store(path=str(tmp_path))), KeysPlugin())
    yield made
    await made.storage.database.close()


@pytest.fixture
async def client(app: Application) -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(app=app)  # type: ignore[arg-type]
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
        yield client


def routes(app: Application) -> list[tuple[str, str]]:
    return [
        (method, re.sub(r"\{[^}]*\}", "x", route.path))
        for route in app.web.litestar.routes
        for method in sorted(route.methods)
        if method != "OPTIONS"
    ]


SPELLINGS = (
    "{}",
    "{}/",
    "{}?key=full",
    "{}?api_key=full",
    "{}#/health",
    "/./{}",
    "{}/.",
    "{}/../{}",
    "/health/..{}",
    "{};/health",
    "{}%2f",
    "{}%00",
    "{}%2e",
    "{}?/health",
    "/health{}",
    "{}/health",
    "/ready{}",
    "{}/metrics",
)


KEYLESS: tuple[dict[str, str], ...] = ({}, {"authorization": "Bearer wrong"}, {"x-api-key": "wrong"})


@pytest.mark.parametrize("each", [1, pytest.param(len(KEYLESS), marks=pytest.mark.nightly)])
async def test_s12_every_route_asks_for_a_key_in_every_spelling(
    each: int, app: Application, client: httpx.AsyncClient, bar: Any
) -> None:
    """With ``each`` of the wrong keys in turn for a spelling; with all of them for the route as it is."""
    found = routes(app)
    turns, count = itertools.cycle(KEYLESS), 0
    assert len(found) > 20
    for method, path in found:
        if (method, path) in PUBLIC:
            continue
        for spelling in SPELLINGS:
            target = spelling.replace("{}", path)
            for headers in itertools.islice(turns, each):
                answer = await client.request(method, target, headers=headers)
                assert answer.status_code in (401, 404, 405), (method, target, headers, answer.status_code)
                count += 1
        next(turns)  # so that a spelling's key is another one at the next route
        for headers in KEYLESS:
            plain = await client.request(method, path, headers=headers)
            assert plain.status_code == 401, (method, path, headers)
    bar.record(f"{len(found)} routes, none opened", rounds=count)


async def test_s12_a_key_without_the_permission_is_refused_everywhere(
    app: Application, client: httpx.AsyncClient
) -> None:
    for method, path in routes(app):
        if (method, path) not in PUBLIC:
            answer = await client.request(method, path, headers={"authorization": "Bearer nothing"})
            assert answer.status_code == 403, (method, path)


async def test_s12_only_what_is_meant_to_be_public_is(app: Application, client: httpx.AsyncClient) -> None:
    for method, path in PUBLIC:
        assert (await client.request(method, path)).status_code in (200, 503)


@pytest.mark.parametrize(
    "headers",
    [{"authorization": "Bearer full"}, {"x-api-key": "full"}, {"api-key": "full"}, {"authorization": "bearer full"}],
)
async def test_s16_every_carrier_of_a_key_is_the_same_key(client: httpx.AsyncClient, headers: dict[str, str]) -> None:
    assert (await client.get("/v1/models", headers=headers)).status_code == 200
    assert (await client.get("/metrics", headers=headers)).status_code == 200


async def test_s16_every_route_gives_every_carrier_the_same_verdict(
    app: Application, client: httpx.AsyncClient, bar: Any
) -> None:
    count = 0
    for key in ("nothing", "wrong"):
        for method, path in routes(app):
            verdicts = {
                (await client.request(method, path, headers=headers)).status_code
                for headers in ({"authorization": f"Bearer {key}"}, {"x-api-key": key}, {"api-key": key})
            }
            assert len(verdicts) == 1, (method, path, verdicts)
            count += 3
    bar.record("one verdict for each key and route", rounds=count)


async def test_s16_a_key_in_the_query_is_no_key(client: httpx.AsyncClient, bar: Any) -> None:
    names = ("key", "api_key", "api-key", "x-api-key", "token", "access_token", "authorization")
    for name in names:
        assert (await client.get("/v1/models", params={name: "full"})).status_code == 401
    bar.record("never from the query", rounds=len(names))


async def test_s16_two_different_keys_in_one_request_are_refused(client: httpx.AsyncClient) -> None:
    answer = await client.get("/v1/models", headers={"authorization": "Bearer full", "x-api-key": "other"})
    assert answer.status_code == 400
    assert "two different API keys" in answer.json()["error"]["message"]


async def test_a_refusal_comes_in_the_dialect_of_its_route(client: httpx.AsyncClient) -> None:
    theirs = await client.post("/v1/chat/completions", json={})
    assert theirs.json()["error"]["code"] == "invalid_api_key"
    ours = await client.post("/api/chat", json={})
    assert isinstance(ours.json()["error"], str)


class OpenDoor:
    name = "open-door"
    prefixes = ("/open",)

    @property
    def routes(self) -> list[object]:
        @get("/open", sync_to_thread=False)
        def open_door() -> str:
            return "come in"

        return [open_door]

    def error_reply(self, error: Exception, path: str) -> ErrorReply:
        return ErrorReply(500, b"", "text/plain")


class OpenDoorPlugin:
    @hookimpl
    def hyperllama_protocols(self, config: Config) -> Iterable[WireProtocol]:
        return (OpenDoor(),)  # type: ignore[return-value]


def test_s12_a_route_that_declares_no_permission_keeps_the_gateway_from_starting() -> None:
    with pytest.raises(ConfigError, match="declares no permission"):
        create_app(CONFIG, OpenDoorPlugin())


async def test_s14_each_permission_opens_its_own_routes_and_no_other(
    app: Application, client: httpx.AsyncClient, bar: Any
) -> None:
    count = 0
    for route in app.web.litestar.routes:
        path = re.sub(r"\{[^}]*\}", "x", route.path)
        for handler in getattr(route, "route_handlers", ()):
            wanted = handler.opt.get("permission")
            for method in sorted(getattr(handler, "http_methods", ())):
                if wanted in (None, "public") or (method, path) in PUBLIC:
                    continue
                for permission in PERMISSIONS:
                    answer = await client.request(method, path, headers={"authorization": f"Bearer only-{permission}"})
                    refused = answer.status_code == 403
                    if method != "HEAD":  # some routes refuse everybody, in words of their own
                        refused = refused and "does not have the permission" in answer.text
                    assert refused is (permission != wanted), (method, path, permission, answer.text)
                    count += 1
    assert count > 100
    bar.record("each route opens for its permission alone", rounds=count)


MANAGED = {"/api/pull", "/api/push", "/api/create", "/api/copy", "/api/delete", "/api/blobs/{digest:str}"}


def test_s14_what_changes_models_needs_more_than_inference(app: Application, bar: Any) -> None:
    prefixes = tuple(path.split("{")[0] for path in MANAGED)
    managed = {
        (route.path, method): handler.opt.get("permission")
        for route in app.web.litestar.routes
        for handler in getattr(route, "route_handlers", ())
        for method in handler.http_methods
        if route.path.startswith(prefixes) and method in ("POST", "PUT", "DELETE")
    }
    assert len(managed) >= len(MANAGED)
    assert set(managed.values()) <= {"models:write", "admin"}, managed
    bar.record(f"{len(managed)} routes that manage models", rounds=len(managed))


async def test_s14_no_field_of_a_request_widens_its_key(client: httpx.AsyncClient, bar: Any) -> None:
    fields = (
        "permissions",
        "scopes",
        "scope",
        "role",
        "user",
        "owner",
        "admin",
        "allowed_routes",
        "priority",
        "weight",
    )
    for field in fields:
        for value in (["admin"], "admin", True, {"permissions": ["admin"]}):
            body = {"model": "sim", "messages": [{"role": "user", "content": "x"}], "max_tokens": 1, field: value}
            headers = {"authorization": "Bearer only-infer", f"x-{field}": "admin"}
            await client.post("/v1/chat/completions", json=body, headers=headers)
            for path in ("/metrics", "/v1/models"):
                assert (await client.get(path, headers=headers, params={field: "admin"})).status_code == 403
    bar.record("no field widens a key", rounds=4 * len(fields))

"""Nobody comes in by accident: every route, every method, every spelling."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Iterable

import httpx
import pytest
from litestar import get

from hyperllama import hookimpl
from hyperllama.config import Config
from hyperllama.errors import ConfigError
from hyperllama.identity import Credentials, Principal
from hyperllama.models import ModelSpec
from hyperllama.spi import AuthProvider, ErrorReply, WireProtocol
from hyperllama.web.app import Application, create_app

PUBLIC = {
    ("GET", "/"),
    ("HEAD", "/"),
    ("GET", "/api/version"),
    ("HEAD", "/api/version"),
    ("GET", "/health"),
    ("GET", "/ready"),
}


class Keys:
    name = "test-keys"

    async def authenticate(self, credentials: Credentials) -> Principal | None:
        match credentials.token:
            case "full":
                return Principal(id="full", permissions=frozenset({"infer", "models:read", "models:write", "admin"}))
            case "nothing":
                return Principal(id="nothing", permissions=frozenset())
        return None


class KeysPlugin:
    @hookimpl
    def hyperllama_auth_providers(self, config: Config) -> Iterable[AuthProvider]:
        return (Keys(),)


CONFIG = Config(models={"health": ModelSpec(name="health", engine="sim"), "sim": ModelSpec(name="sim", engine="sim")})


@pytest.fixture(scope="module")
def app() -> Application:
    return create_app(CONFIG, KeysPlugin())


@pytest.fixture
async def client(app: Application) -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(app=app)
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
        yield client


def routes(app: Application) -> list[tuple[str, str]]:
    return [
        (method, re.sub(r"\{[^}]*\}", "x", route.path))
        for route in app.litestar.routes
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


async def test_every_route_asks_for_a_key_in_every_spelling(app: Application, client: httpx.AsyncClient) -> None:
    found = routes(app)
    assert len(found) > 20
    for method, path in found:
        if (method, path) in PUBLIC:
            continue
        for spelling in SPELLINGS:
            target = spelling.replace("{}", path)
            for headers in ({}, {"authorization": "Bearer wrong"}, {"x-api-key": "wrong"}):
                answer = await client.request(method, target, headers=headers)
                assert answer.status_code in (401, 404, 405), (method, target, headers, answer.status_code)
        plain = await client.request(method, path)
        assert plain.status_code == 401, (method, path)


async def test_a_key_without_the_permission_is_refused_everywhere(app: Application, client: httpx.AsyncClient) -> None:
    for method, path in routes(app):
        if (method, path) not in PUBLIC:
            answer = await client.request(method, path, headers={"authorization": "Bearer nothing"})
            assert answer.status_code == 403, (method, path)


async def test_only_what_is_meant_to_be_public_is(app: Application, client: httpx.AsyncClient) -> None:
    for method, path in PUBLIC:
        assert (await client.request(method, path)).status_code in (200, 503)


@pytest.mark.parametrize(
    "headers",
    [{"authorization": "Bearer full"}, {"x-api-key": "full"}, {"api-key": "full"}, {"authorization": "bearer full"}],
)
async def test_every_carrier_of_a_key_is_the_same_key(client: httpx.AsyncClient, headers: dict[str, str]) -> None:
    assert (await client.get("/v1/models", headers=headers)).status_code == 200
    assert (await client.get("/metrics", headers=headers)).status_code == 200


async def test_two_different_keys_in_one_request_are_refused(client: httpx.AsyncClient) -> None:
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


def test_a_route_that_declares_no_permission_keeps_the_gateway_from_starting() -> None:
    with pytest.raises(ConfigError, match="declares no permission"):
        create_app(CONFIG, OpenDoorPlugin())

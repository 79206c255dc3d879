"""The middleware: pages and host names judged on every path, and the answer's headers set on every answer."""

from __future__ import annotations

from typing import Any

import pytest

from hyperllama.web.origins import Origins

METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")


class Answered:
    def __init__(self) -> None:
        self.status = 0
        self.headers: dict[bytes, bytes] = {}
        self.reached = False
        self.bodies: list[bytes] = []


async def call(*headers: tuple[bytes, bytes], method: str = "GET", path: str = "/x", **settings: Any) -> Answered:
    answered = Answered()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        answered.reached = True
        await send({"type": "http.response.start", "status": 500, "headers": [(b"x-own", b"1")]})
        await send({"type": "http.response.body", "body": b"a", "more_body": True})
        await send({"type": "http.response.body", "body": b"b", "more_body": False})

    async def receive() -> Any:
        raise AssertionError("the body is not the middleware's")

    async def send(message: Any) -> None:
        if message["type"] == "http.response.start":
            answered.status = message["status"]
            answered.headers = dict(message["headers"])
        else:
            answered.bodies.append(message["body"])

    scope = {"type": "http", "method": method, "path": path, "headers": list(headers)}
    settings.setdefault("allowed_origins", ("http://localhost:*",))
    origins = Origins(app, bound_to_loopback=settings.pop("loopback", True), **settings)
    await origins(scope, receive, send)  # type: ignore[arg-type]
    return answered


LOCAL = (b"host", b"localhost:11434")
PAGE = (b"origin", b"http://localhost:3000")
FOREIGN = (b"origin", b"https://evil.example")


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("path", ["/", "/api/chat", "/v1/models", "/health", "/nowhere"])
async def test_a_foreign_page_reaches_nothing(method: str, path: str) -> None:
    answered = await call(LOCAL, FOREIGN, method=method, path=path)
    assert (answered.status, answered.bodies, answered.reached) == (403, [b""], False)
    assert b"access-control-allow-origin" not in answered.headers


@pytest.mark.parametrize("method", METHODS)
async def test_a_foreign_host_reaches_nothing(method: str) -> None:
    answered = await call((b"host", b"rebound.example"), method=method)
    assert (answered.status, answered.reached) == (403, False)


async def test_a_page_that_is_its_own_foreign_host_reaches_nothing() -> None:
    answered = await call((b"host", b"rebound.example"), (b"origin", b"http://rebound.example"))
    assert (answered.status, answered.reached) == (403, False)


async def test_two_origins_are_one_foreign_one() -> None:
    assert (await call(LOCAL, PAGE, FOREIGN)).status == 403
    assert (await call(LOCAL, FOREIGN, PAGE)).status == 403


async def test_errors_and_streams_carry_the_headers_that_let_the_page_read_them() -> None:
    answered = await call(LOCAL, PAGE)
    assert (answered.status, answered.bodies) == (500, [b"a", b"b"])
    assert answered.headers[b"access-control-allow-origin"] == b"http://localhost:3000"
    assert answered.headers[b"vary"] == b"Origin"
    assert b"x-request-id" in answered.headers[b"access-control-expose-headers"].split(b",")
    assert answered.headers[b"x-own"] == b"1"


async def test_clients_that_are_no_pages_get_no_headers() -> None:
    assert (await call(LOCAL)).headers == {b"x-own": b"1"}


async def test_everybody_is_answered_with_a_star_and_never_with_credentials() -> None:
    answered = await call(LOCAL, FOREIGN, allowed_origins=("*",))
    assert answered.headers[b"access-control-allow-origin"] == b"*"
    assert b"access-control-allow-credentials" not in answered.headers


@pytest.mark.parametrize(
    "wanted",
    [
        "authorization", "content-type", "x-api-key", "anthropic-version", "anthropic-beta", "openai-organization",
        "openai-project", "openai-beta", "x-request-id", "x-stainless-read-timeout", "x-stainless-retry-count",
        "anthropic-dangerous-direct-browser-access",
    ],
)  # fmt: skip
async def test_a_preflight_allows_what_the_sdks_send(wanted: str) -> None:
    answered = await call(LOCAL, PAGE, method="OPTIONS", path="/nowhere")
    assert (answered.status, answered.reached) == (204, False)
    assert wanted in answered.headers[b"access-control-allow-headers"].decode().lower().split(",")
    assert b"content-length" not in answered.headers


async def test_named_hosts_are_held_to_on_every_listener() -> None:
    named: dict[str, Any] = {"loopback": False, "allowed_hosts": ("ai.example.com",)}
    assert (await call((b"host", b"ai.example.com"), **named)).reached
    assert not (await call((b"host", b"other.example.com"), **named)).reached
    assert (await call((b"host", b"other.example.com"), loopback=False)).reached


async def test_what_is_no_request_passes() -> None:
    seen: list[str] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        seen.append(scope["type"])

    await Origins(app, bound_to_loopback=True)({"type": "lifespan"}, None, None)  # type: ignore[arg-type]
    assert seen == ["lifespan"]

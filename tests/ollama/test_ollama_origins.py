"""Origin and Host rules."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import httpx
import pytest

from hyperllama.system.network import address_is_local
from hyperllama.web import origins
from hyperllama.web.origins import Verdict
from hyperllama_ollama import paths
from hyperllama_ollama.protocol import ORIGINS


def _decide(method: str = "GET", *, loopback: bool = False, allowed: tuple[str, ...] = (), hosts: tuple[str, ...] = (), **headers: str) -> Verdict:  # fmt: skip # noqa: E501
    return origins.decide(
        method,
        headers,
        bound_to_loopback=loopback,
        allowed_origins=(*ORIGINS, *allowed),
        allowed_hosts=hosts,
        is_local=lambda address: address == "203.0.113.9",
    )


@pytest.mark.parametrize(
    "origin",
    ["http://localhost", "https://localhost", "http://localhost:3000", "http://127.0.0.1:8080", "https://0.0.0.0",
     "app://obsidian.md", "file://x", "tauri://localhost", "vscode-webview://abc", "vscode-file://x"],
)  # fmt: skip
def test_pages_of_this_machine_may_call(origin: str) -> None:
    assert _decide(origin=origin, host="localhost:11434") == Verdict(
        "pass", (("Access-Control-Allow-Origin", origin), ("Vary", "Origin"))
    )


@pytest.mark.parametrize(
    "origin",
    ["https://evil.example", "http://localhost.evil.example", "null", "chrome-extension://abc", "http://127.0.0.2",
     "HTTP://LOCALHOST", "http://localhost@evil.example"],
)  # fmt: skip
@pytest.mark.parametrize("method", ["GET", "POST", "DELETE", "OPTIONS", "HEAD"])
def test_trap_28_a_foreign_page_is_refused_on_every_method(origin: str, method: str) -> None:
    verdict = _decide(method, origin=origin, host="localhost:11434")
    assert (verdict.status, verdict.headers) == (403, ())


def test_no_origin_and_the_same_origin_are_not_judged() -> None:
    assert _decide(host="example.com") == Verdict("pass")
    assert _decide(origin="https://example.com", host="example.com") == Verdict("pass")
    assert _decide(origin="http://example.com:8080", host="example.com:8080") == Verdict("pass")


def test_configured_origins_come_beside_the_built_in_ones() -> None:
    assert _decide(origin="https://a.example.com", host="h", allowed=("https://*.example.com",)).action == "pass"
    assert _decide(origin="https://example.com", host="h", allowed=("https://*.example.com",)).action == "refuse"
    assert _decide(origin="http://localhost", host="h", allowed=("https://b",)).action == "pass"
    everyone = _decide(origin="https://evil.example", host="h", allowed=("*",))
    assert everyone == Verdict("pass", (("Access-Control-Allow-Origin", "*"),))


def test_a_preflight_is_answered_whatever_the_path() -> None:
    verdict = _decide("OPTIONS", origin="http://localhost:3000", host="localhost")
    headers = list(verdict.headers)
    assert (verdict.action, verdict.status) == ("preflight", 204)
    assert ("Access-Control-Allow-Methods", "GET,POST,PUT,PATCH,DELETE,HEAD,OPTIONS") in headers
    assert ("Access-Control-Max-Age", "43200") in headers
    assert [value for name, value in headers if name == "Vary"] == [
        "Origin", "Access-Control-Request-Method", "Access-Control-Request-Headers",
    ]  # fmt: skip
    allowed = dict(headers)["Access-Control-Allow-Headers"].split(",")
    assert allowed[:4] == ["Authorization", "Content-Type", "User-Agent", "Accept"]
    assert allowed[17] == "X-Stainless-Timeout"  # the last of Ollama's own
    assert {"OpenAI-Organization", "X-Api-Key", "Anthropic-Version"} <= set(allowed[18:])


@pytest.mark.parametrize(
    "host",
    ["", "localhost", "localhost:11434", "LOCALHOST", "a.localhost", "box.local", "host.docker.internal:80",
     "127.0.0.1:11434", "[::1]:11434", "::1", "192.168.1.5", "10.0.0.1:1", "0.0.0.0:11434", "203.0.113.9",
     socket.gethostname()],
)  # fmt: skip
def test_hosts_that_can_only_mean_this_network_pass(host: str) -> None:
    assert _decide(loopback=True, host=host).action == "pass"


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:11434", "8.8.8.8", "localhost.evil.example", "internal"]
)
def test_another_host_is_refused_only_when_bound_to_loopback(host: str) -> None:
    assert _decide(loopback=True, host=host).status == 403
    assert _decide(loopback=False, host=host).action == "pass"


def test_allowed_hosts_pass() -> None:
    assert _decide(loopback=True, host="AI.example.com:443", hosts=("ai.example.com",)).action == "pass"


def test_the_origin_is_judged_before_the_host() -> None:
    assert _decide(loopback=True, origin="https://evil.example", host="localhost").status == 403
    assert _decide(loopback=True, origin="http://localhost", host="evil.example").status == 403


def test_options_without_a_page_depends_on_the_name() -> None:
    assert _decide("OPTIONS", loopback=True, host="localhost") == Verdict("preflight")
    assert _decide("OPTIONS", loopback=True, host="127.0.0.1") == Verdict("pass")


def test_an_address_of_an_interface_is_local() -> None:
    assert address_is_local("127.0.0.1")
    assert not address_is_local("203.0.113.77")


def test_a_trailing_slash_is_redirected() -> None:
    known = {"/api/tags", "/api/chat"}.__contains__
    assert paths.redirect("GET", "/api/tags/", "", known=known) == paths.Redirect(301, "/api/tags")
    assert paths.redirect("POST", "/api/chat/", "ts=1", known=known) == paths.Redirect(307, "/api/chat?ts=1")
    for path in ("/", "/api/tags", "/nope/", "/api/tags//", "//"):
        assert paths.redirect("GET", path, "", known=known) is None


@pytest.fixture
def guarded(sim_url: str) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=sim_url, timeout=30, trust_env=False) as client:
        yield client


def test_trap_28_the_whole_gateway_turns_foreign_pages_and_hosts_away(guarded: httpx.Client) -> None:
    for path in ("/", "/api/tags", "/v1/models", "/nope"):
        for method in ("GET", "POST", "DELETE", "OPTIONS"):
            page = guarded.request(method, path, headers={"origin": "https://evil.example"})
            assert (page.status_code, page.content) == (403, b"")
            host = guarded.request(method, path, headers={"host": "evil.example"})
            assert (host.status_code, host.content) == (403, b"")
    preflight = guarded.options("/v1/nope", headers={"origin": "http://localhost:3000"})
    assert (preflight.status_code, preflight.content) == (204, b"")
    assert preflight.headers["access-control-allow-origin"] == "http://localhost:3000"
    assert preflight.headers["access-control-max-age"] == "43200"
    local = guarded.get("/api/version", headers={"origin": "http://localhost:3000"})
    assert (local.status_code, local.headers["access-control-allow-origin"]) == (200, "http://localhost:3000")
    assert local.headers["vary"] == "Origin"
    missing = guarded.get("/nope", headers={"origin": "http://localhost:3000"})
    assert (missing.status_code, missing.headers["access-control-allow-origin"]) == (404, "http://localhost:3000")

"""Clients that leave, streaming and not; requests outside the usual shapes."""

from __future__ import annotations

import json
import socket
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest

from hyperllama.errors import (
    Draining,
    EngineTimeout,
    Forbidden,
    GatewayError,
    MethodNotAllowed,
    PayloadTooLarge,
    RateLimited,
    RouteNotFound,
    Unauthenticated,
)
from hyperllama_ollama import errors
from hyperllama_ollama.protocol import Ollama
from hyperllama_ollama.settings import Settings


@pytest.mark.parametrize("stream", [True, False])
def test_a_client_that_leaves_ends_its_generation(base_url: str, gateway: Any, stream: bool) -> None:
    body = json.dumps({"model": "held", "messages": [{"role": "user", "content": "x"}], "stream": stream}).encode()
    address = urlsplit(base_url)
    with socket.create_connection((address.hostname, address.port), timeout=30) as client:
        client.sendall(
            b"POST /api/chat HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)
        )
        if stream:
            assert b'"content":"Hi"' in _until(client, b"\n\r\n")
    assert gateway.closed.acquire(timeout=30)


def test_a_large_image_is_read(http: httpx.Client, gateway: Any) -> None:
    import base64

    image = bytes(range(256)) * 4096
    body = {"model": "llama3.2", "prompt": "x", "images": [base64.b64encode(image).decode()]}
    assert http.post("/api/generate", json=body).status_code == 200
    assert gateway.asked[-1].input.messages[0].parts[0].data == image


def test_rendering_alone_runs_nothing(http: httpx.Client, gateway: Any) -> None:
    body = {"model": "llama3.2", "messages": [{"role": "user", "content": "a bc"}], "_debug_render_only": True}
    found = http.post("/api/chat", json=body).json()
    del found["created_at"]
    assert found == {
        "model": "llama3.2",
        "message": {"role": "assistant", "content": ""},
        "done": False,
        "_debug_info": {"rendered_template": "<1 101 102>"},
    }
    assert gateway.asked == []


def test_raw_excludes_what_it_does_not_support(http: httpx.Client) -> None:
    for extra in ({"template": "x"}, {"system": "x"}, {"context": [1]}):
        reply = http.post("/api/generate", json={"model": "llama3.2", "prompt": "x", "raw": True, **extra})
        assert (reply.status_code, reply.json()["error"]) == (
            400,
            "raw mode does not support template, system, or context",
        )


def test_cloud_names_are_refused(http: httpx.Client) -> None:
    for path in ("generate", "chat", "embed", "embeddings"):
        reply = http.post(f"/api/{path}", json={"model": "gpt-oss:120b-cloud"})
        assert (reply.status_code, reply.json()["error"]) == (
            403,
            "ollama cloud is disabled: remote model is unavailable",
        )
    reply = http.post("/api/show", json={"model": "x:cloud"})
    assert reply.json()["error"] == "ollama cloud is disabled: remote model details are unavailable"
    reply = http.post("/api/chat", json={"model": "x:cloud:local"})
    assert (reply.status_code, reply.json()["error"]) == (400, 'use either :local or :cloud, not both: "x:cloud:local"')
    assert http.post("/api/generate", json={"model": "llama3.2:local"}).status_code == 200


def test_there_is_no_account_and_no_cloud(http: httpx.Client) -> None:
    me = http.post("/api/me")
    assert (me.status_code, me.json()) == (401, {"error": "unauthorized"})
    for out in (http.post("/api/signout"), http.delete("/api/user/keys/abc")):
        assert (out.status_code, out.json()) == (401, {"error": "you are not currently signed in"})
    assert http.get("/api/status").json() == {"cloud": {"disabled": True, "source": "config"}}
    search = http.post("/api/experimental/web_search", json={"query": "x"})
    assert (search.status_code, search.json()) == (
        403,
        {"error": "ollama cloud is disabled: web search is unavailable"},
    )
    fetch = http.post("/api/experimental/web_fetch", json={"url": "x"})
    assert fetch.json() == {"error": "ollama cloud is disabled: web fetch is unavailable"}
    assert http.get("/api/experimental/model-recommendations").json() == {"recommendations": []}


@pytest.mark.parametrize(
    ("error", "status", "body", "headers"),
    [
        (Unauthenticated("no API key was sent"), 401, b'{"error":"no API key was sent"}', {}),
        (Forbidden("this key may not"), 403, b'{"error":"this key may not"}', {}),
        (PayloadTooLarge("too large"), 413, b'{"error":"too large"}', {}),
        (RateLimited("slow down", retry_after=3.4), 429, b'{"error":"slow down"}', {"retry-after": "4"}),
        (Draining("stopping", retry_after=0.1), 503, b'{"error":"stopping"}', {"retry-after": "1"}),
        (EngineTimeout("no answer"), 500, b'{"error":"no answer"}', {}),
        (GatewayError("<internal>"), 500, b'{"error":"\\u003cinternal\\u003e"}', {}),
    ],
)
def test_every_error_is_one_object(error: GatewayError, status: int, body: bytes, headers: dict[str, str]) -> None:
    reply = Ollama(Settings()).error_reply(error, "/api/chat")
    assert (reply.status, reply.body, reply.media_type, reply.headers) == (status, body, errors.JSON, headers)


def test_the_routers_own_errors_are_text() -> None:
    protocol = Ollama(Settings())
    missing = protocol.error_reply(RouteNotFound("x"), "/nope")
    assert (missing.status, missing.body, missing.headers) == (
        404,
        b"404 page not found",
        {"content-type": "text/plain"},
    )
    allow = ("OPTIONS", "DELETE", "POST", "GET", "HEAD")
    wrong = protocol.error_reply(MethodNotAllowed("x", allow=allow), "/x")
    assert (wrong.status, wrong.body) == (405, b"405 method not allowed")
    assert wrong.headers["allow"] == "HEAD, GET, POST, DELETE"


def _until(client: socket.socket, mark: bytes) -> bytes:
    seen = b""
    while mark not in seen.partition(b"\r\n\r\n")[2]:
        seen += client.recv(65536)
    return seen

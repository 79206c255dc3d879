"""Request targets in all their spellings: the application sees one, and so does whatever judges before it."""

from __future__ import annotations

from typing import Any

import pytest

from hyperllama.server.framing import RefusedError
from hyperllama.server.target import target_of

CLEAN = {
    "/": "/",
    "//": "/",
    "///": "/",
    "//api/tags": "/api/tags",
    "///api///tags": "/api/tags",
    "/api//tags": "/api/tags",
    "/api/tags/": "/api/tags/",
    "/api/tags//": "/api/tags/",
    "/./api/tags": "/api/tags",
    "/api/./tags": "/api/tags",
    "/api/tags/.": "/api/tags",
    "/api/tags/./": "/api/tags/",
    "/api/../api/tags": "/api/tags",
    "/../../api/tags": "/api/tags",
    "/x/y/../../api/tags": "/api/tags",
    "/api/tags/..": "/api",
    "/..": "/",
    "/%2e/api/tags": "/api/tags",
    "/x/%2E%2e/api/tags": "/api/tags",
    "/x/.%2e/api/tags": "/api/tags",
    "/x/%2e./api/tags": "/api/tags",
    # not dots, and not slashes
    "/.well-known/x": "/.well-known/x",
    "/..x/...": "/..x/...",
    "/a%2Fb": "/a%2Fb",
    "/a%2f..%2fb": "/a%2f..%2fb",
    "/a;/../b": "/b",
    "/m:t@x/~y": "/m:t@x/~y",
}


@pytest.mark.parametrize("sent", CLEAN)
@pytest.mark.parametrize("query", ["", "?", "?a=//b/../c", "?/../"])
@pytest.mark.parametrize("before", ["", "http://a", "HTTPS://a:1"])
def test_b05_a_target_has_one_clean_path_and_its_query_as_sent(before: str, sent: str, query: str) -> None:
    target = target_of(f"{before}{sent}{query}".encode(), False)
    assert target.path == CLEAN[sent]
    assert target.sent == f"{CLEAN[sent]}{query}".encode()
    assert target.authority == (before.partition("://")[2].encode() or None)
    assert target_of(target.sent, False).sent == target.sent


@pytest.mark.parametrize(
    ("sent", "path"), [("http://a", "/"), ("http://a?x", "/"), ("http://a/", "/"), ("https://[::1]:8/x", "/x")]
)
def test_b11_an_absolute_target_may_lack_a_path(sent: str, path: str) -> None:
    assert target_of(sent.encode(), False).path == path


@pytest.mark.parametrize("sent", [b"*", b"http://a"])
def test_b11_options_may_be_about_the_whole_server(sent: bytes) -> None:
    assert target_of(sent, True).path == "*"
    if sent == b"*":
        with pytest.raises(RefusedError):
            target_of(sent, False)


@pytest.mark.parametrize("version", ["1.1", "1.0"])
@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "OPTIONS", "DELETE"])
def test_b05_every_method_reaches_the_clean_path(method: str, version: str, served: Any, wire: Any) -> None:
    for sent in ("//good", "/good", "/./good", "/x/../good", "http://a//good"):
        got = served.ask(f"{method} {sent} HTTP/{version}\r\nHost: a\r\nConnection: close\r\n\r\n".encode())
        assert wire.statuses(got) == [200], sent
    assert {(seen, path) for seen, path, _ in served.app.seen} == {(method, "/good")}


@pytest.mark.parametrize("host", ["a", "A", "a:80", ""])
def test_b11_the_host_of_an_absolute_target_is_the_one_that_is_seen(host: str, served: Any, wire: Any) -> None:
    head = f"GET http://a/good?q HTTP/1.1\r\nHost: {host}\r\nX: y\r\nConnection: close\r\n\r\n"
    assert wire.statuses(served.ask(head.encode())) == [200]
    assert served.app.seen == [("GET", "/good", b"")]
    assert [value for name, value in served.app.headers[0] if name == b"host"] == [b"a"]
    assert (b"x", b"y") in served.app.headers[0]


def test_b05_the_limit_and_the_refusal_are_those_of_the_clean_path(serving: Any, wire: Any) -> None:
    paths = []

    def limit(path: str) -> int:
        paths.append(path)
        return 10

    def spell(path: str, status: int, reason: str) -> tuple[bytes, str]:
        paths.append(path)
        return b"", "text/plain"

    served = serving(body_limit=limit, spell=spell)
    got = served.ask(b"POST //x/../api//chat HTTP/1.1\r\nHost: a\r\nContent-Length: 11\r\n\r\n")
    assert wire.statuses(got) == [413]
    assert paths == ["/api/chat", "/api/chat"]

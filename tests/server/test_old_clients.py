"""HTTP/1.0, as load balancers and old tools speak it: with a Host or without, whole and streamed, kept open or not."""

from __future__ import annotations

from typing import Any

import pytest

HOSTS = ("", "Host: a\r\n", "Host:\r\n")


@pytest.mark.parametrize("host", HOSTS)
@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS"])
def test_b06_a_request_needs_no_host_and_its_answer_ends_the_connection(
    method: str, host: str, served: Any, wire: Any
) -> None:
    got = served.ask(f"{method} / HTTP/1.0\r\n{host}\r\nGET /smuggled HTTP/1.0\r\n\r\n".encode())
    assert wire.statuses(got) == [200]
    assert b"connection: close\r\n" in got
    assert b"transfer-encoding" not in got
    assert served.app.seen == [(method, "/", b"")]


@pytest.mark.parametrize("host", HOSTS)
def test_b06_a_body_arrives(host: str, served: Any, wire: Any) -> None:
    got = served.ask(f"POST / HTTP/1.0\r\n{host}Expect: 100-continue\r\nContent-Length: 5\r\n\r\nhello".encode())
    assert wire.statuses(got) == [200]  # and no 100, which HTTP/1.0 does not know
    assert served.app.seen == [("POST", "/", b"hello")]


@pytest.mark.parametrize("line", ["", "Connection: keep-alive\r\n"])
def test_b06_a_stream_is_plain_bytes_up_to_the_end_of_the_connection(line: str, served: Any, wire: Any) -> None:
    got = served.ask(f"GET /tokens HTTP/1.0\r\n{line}\r\n".encode())
    head, _, body = got.partition(b"\r\n\r\n")
    assert wire.statuses(got) == [200]
    assert b"connection: close" in head
    assert b"transfer-encoding" not in head
    assert b"content-length" not in head
    assert body.startswith(b"%063d " % 0 + b"%063d " % 1)
    assert body.endswith(b"%063d end" % 20_000)
    assert body.count(b" ") == 20_001


def test_b06_a_client_that_asks_for_it_keeps_its_connection(served: Any, wire: Any) -> None:
    keep = b"GET /good HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n"
    with served.connect() as one:
        for _ in range(3):
            one.sendall(keep)
            answer, rest = wire.one_answer(one)
            assert rest == b""
            assert b"connection: keep-alive\r\n" in answer
        one.sendall(b"HEAD /good HTTP/1.0\r\n\r\n")
        assert b"connection: close\r\n" in wire.until_end(one)
    assert len(served.app.seen) == 4


def test_b06_a_gateway_that_stops_keeps_no_connection(served: Any, wire: Any) -> None:
    served.guard.closing = True
    got = served.ask(b"GET /good HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
    assert wire.statuses(got) == [200]
    assert b"connection: close\r\n" in got
    assert b"connection: keep-alive" not in got


def test_b06_versions_may_change_on_one_connection(served: Any, wire: Any) -> None:
    with served.connect() as one:
        one.sendall(b"GET /good HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
        wire.one_answer(one)
        one.sendall(b"GET /tokens HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        got = wire.until_end(one)
    assert b"transfer-encoding: chunked" in got
    assert got.endswith(b"0\r\n\r\n")

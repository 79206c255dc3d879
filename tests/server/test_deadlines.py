"""Whoever dawdles is cut off: heads, bodies, silence, readers that take nothing. Whoever does not stays connected.

The sleeps are the client's slowness, not waits for something to happen.
"""

from __future__ import annotations

import socket
import time
from collections.abc import Callable
from typing import Any

import pytest

GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"


def drip(one: socket.socket, piece: bytes, wire: Any) -> bytes:
    """Send ``piece`` again and again, 30 ms apart, until the server answers; all of its answer."""
    one.settimeout(0.03)
    for _ in range(200):
        try:
            got: bytes = one.recv(1)
        except TimeoutError:
            one.sendall(piece)
            continue
        one.settimeout(5)
        return got + wire.until_end(one) if got else b""
    raise AssertionError("never cut off")


def test_s03_a_silent_connection_is_closed_without_a_word(serving: Callable[..., Any], wire: Any) -> None:
    served = serving(header_timeout=0.2)
    with served.connect() as one:
        assert wire.until_end(one) == b""


def test_s03_a_head_that_drips_is_cut_off(serving: Callable[..., Any], wire: Any) -> None:
    served = serving(header_timeout=0.3)
    with served.connect() as one:
        one.sendall(GET[:-2])
        got = drip(one, b"X: a\r\n", wire)
    assert wire.statuses(got) == [408]
    assert served.app.seen == []
    assert served.guard.refused["timeout"] == 1


def test_a_head_that_drips_on_a_used_connection_is_cut_off_too(serving: Callable[..., Any], wire: Any) -> None:
    served = serving(header_timeout=0.3, idle_timeout=60.0)
    with served.connect() as one:
        one.sendall(GET)
        wire.one_answer(one)
        one.sendall(GET[:-2])
        assert wire.statuses(drip(one, b"X: a\r\n", wire)) == [408]


def test_s03_a_body_that_drips_is_cut_off_and_the_application_hears_it(serving: Callable[..., Any], wire: Any) -> None:
    served = serving(body_timeout=0.3)
    with served.connect() as one:
        one.sendall(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000\r\n\r\n")
        got = drip(one, b"x", wire)
    assert wire.statuses(got) == [408]
    assert served.app.left.wait(5)
    assert served.app.seen == []


def test_s03_a_chunked_body_that_drips_is_cut_off(serving: Callable[..., Any], wire: Any) -> None:
    served = serving(body_timeout=0.3)
    with served.connect() as one:
        one.sendall(b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n")
        assert wire.statuses(drip(one, b"1\r\nx\r\n", wire)) == [408]


def test_s03_a_body_without_a_limit_has_no_deadline_but_must_keep_coming(
    serving: Callable[..., Any], wire: Any
) -> None:
    served = serving(body_timeout=0.2, body_grace=0.5, body_rate=1000, body_limit=lambda _: None)
    head = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n"
    with served.connect() as one:
        one.sendall(head % 40_000)
        for _ in range(40):  # well over body_timeout, well over body_rate
            one.sendall(b"x" * 1000)
            time.sleep(0.02)
        answer, _ = wire.one_answer(one)
        assert wire.statuses(answer) == [200]
    assert served.guard.refused["timeout"] == 0
    with served.connect() as one:
        one.sendall(head % 40_000)
        assert wire.statuses(drip(one, b"x", wire)) == [408]


@pytest.mark.parametrize("framing", ["length", "chunks"])
def test_b16_a_body_that_comes_steadily_may_take_as_long_as_it_needs(
    framing: str, serving: Callable[..., Any], wire: Any
) -> None:
    served = serving(body_timeout=0.1, body_rate=1000)
    how = b"Content-Length: 20000" if framing == "length" else b"Transfer-Encoding: chunked"
    with served.connect() as one:
        one.sendall(b"POST / HTTP/1.1\r\nHost: a\r\n" + how + b"\r\n\r\n")
        for _ in range(20):  # four times body_timeout
            one.sendall(b"x" * 1000 if framing == "length" else b"3e8\r\n" + b"x" * 1000 + b"\r\n")
            time.sleep(0.02)
        one.sendall(b"" if framing == "length" else b"0\r\n\r\n")
        answer, _ = wire.one_answer(one)
    assert wire.statuses(answer) == [200]
    assert served.app.seen == [("POST", "/", b"x" * 20_000)]


def test_an_unused_connection_is_closed(serving: Callable[..., Any], wire: Any) -> None:
    served = serving(idle_timeout=0.2)
    with served.connect() as one:
        one.sendall(GET)
        _, rest = wire.one_answer(one)
        assert rest + wire.until_end(one) == b""


def test_an_answer_may_take_longer_than_every_deadline(serving: Callable[..., Any], wire: Any) -> None:
    served = serving(header_timeout=0.1, body_timeout=0.1, idle_timeout=0.1, body_grace=0.1, stall_timeout=0.1)
    with served.connect() as one:
        one.sendall(b"POST /wait HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello")
        one.settimeout(0.6)
        with pytest.raises(TimeoutError):
            one.recv(1)
        assert not served.app.left.is_set()
    assert served.app.left.wait(5)


def test_a_reader_that_takes_nothing_is_cut_off_and_its_request_cancelled(serving: Callable[..., Any]) -> None:
    served = serving(stall_timeout=0.3)
    with served.connect(receive_buffer=4096) as one:
        one.sendall(b"GET /flood HTTP/1.1\r\nHost: a\r\n\r\n")
        assert served.app.left.wait(5)
        assert served.guard.refused["stalled"] == 1
        assert served.app.sent < 2 * 1024 * 1024


def test_a_slow_reader_is_left_alone(serving: Callable[..., Any]) -> None:
    served = serving(stall_timeout=0.4)
    with served.connect(receive_buffer=65536) as one:
        one.sendall(b"GET /flood HTTP/1.1\r\nHost: a\r\n\r\n")
        for _ in range(50):  # a second of sips
            assert one.recv(32768)
            time.sleep(0.02)
        assert not served.app.left.is_set()


def test_a_stalled_reader_holds_little_in_the_server(serving: Callable[..., Any]) -> None:
    served = serving(stall_timeout=30.0)
    with served.connect(receive_buffer=4096) as one:
        one.sendall(b"GET /flood HTTP/1.1\r\nHost: a\r\n\r\n")
        waiting: list[int] = []

        def look() -> None:
            waiting.extend(each.transport.get_write_buffer_size() for each in served.guard.connections)
            waiting.extend([served.app.sent])

        seen = -1
        while served.app.sent != seen or seen == 0:  # until nothing moves between two turns of its loop
            seen = served.app.sent
            for _ in range(50):
                served.on_loop(lambda: None)
        served.on_loop(look)
        assert 0 < waiting[0] <= 256 * 1024

"""Heads, bodies and connections over their caps end with the right status, before anything is kept of them."""

from __future__ import annotations

import socket
from collections.abc import Callable
from typing import Any

import pytest

from hyperllama.config import Server
from hyperllama.server.bounds import Bounds
from hyperllama.server.guard import Guard, network_of, within_descriptors

GET = b"GET / HTTP/1.1\r\nHost: a\r\n"


def post(*lines: bytes, body: bytes = b"", path: bytes = b"/") -> bytes:
    return b"POST " + path + b" HTTP/1.1\r\nHost: a\r\n" + b"".join(line + b"\r\n" for line in lines) + b"\r\n" + body


@pytest.mark.parametrize(
    ("status", "sent"),
    [
        (431, GET + b"X: " + b"a" * 33_000 + b"\r\n\r\n"),
        (431, GET + b"X: " + b"a" * 80_000),  # its end never comes
        (431, GET + b"X" * 80_000),
        (431, GET + b"X: a\r\n" * 100 + b"\r\n"),
        (431, GET + b"X: a\r\n" * 20_000),
        (414, b"GET /" + b"a" * 8192 + b" HTTP/1.1\r\nHost: a\r\n\r\n"),
        (414, b"GET /?" + b"a" * 30_000),
        (414, b"GET /?" + b"a" * 30_000 + b" HTTP/1.1\r\nHost: a\r\n\r\n"),
        (414, b"A" * 30_000),
    ],
)
def test_s02_a_head_over_its_cap_is_refused(status: int, sent: bytes, served: Any, wire: Any) -> None:
    assert wire.statuses(served.ask(sent)) == [status]
    assert served.app.seen == []


@pytest.mark.parametrize(
    "sent",
    [
        GET + b"X: " + b"a" * 30_000 + b"\r\n\r\n",
        GET + b"X: a\r\n" * 99 + b"\r\n",
        b"GET /" + b"a" * 8191 + b" HTTP/1.1\r\nHost: a\r\n\r\n",
    ],
)
def test_a_head_at_its_cap_is_taken(sent: bytes, served: Any, wire: Any) -> None:
    with served.connect() as one:
        one.sendall(sent)
        answer, _ = wire.one_answer(one)
    assert wire.statuses(answer) == [200]


@pytest.mark.parametrize("length", [1001, 10**18, 10**19])
def test_s04_a_body_declared_over_the_cap_is_refused_before_it_comes(
    length: int, serving: Callable[..., Any], wire: Any
) -> None:
    served = serving(body_bytes=1000)
    got = served.ask(post(b"Content-Length: %d" % length))
    assert wire.statuses(got) == [413]
    assert b"connection: close" in got
    assert served.app.seen == []


def test_a_refused_sender_that_goes_on_sending_still_reads_the_answer(serving: Callable[..., Any], wire: Any) -> None:
    served = serving(body_bytes=2_000_000)
    got = served.ask(post(b"Content-Length: 2000001", body=b"x" * 1_900_000))
    assert wire.statuses(got) == [413]


def test_a_refused_sender_without_end_is_cut_off(serving: Callable[..., Any]) -> None:
    served = serving(body_bytes=100_000, linger=30.0)
    with served.connect() as one, pytest.raises((ConnectionResetError, BrokenPipeError)):
        one.sendall(post(b"Content-Length: 100001"))
        while True:
            one.sendall(b"x" * 65536)


@pytest.mark.parametrize("size", [1001, 600])
def test_s04_a_chunked_body_is_counted_while_it_comes(size: int, serving: Callable[..., Any], wire: Any) -> None:
    served = serving(body_bytes=1000)
    chunk = b"%x\r\n" % size + b"x" * size + b"\r\n"
    got = served.ask(post(b"Transfer-Encoding: chunked", body=chunk * 2 + b"0\r\n\r\n"))
    assert wire.statuses(got) == [413]
    assert served.app.seen == []


def test_bodies_at_the_cap_are_taken(serving: Callable[..., Any], wire: Any) -> None:
    served = serving(body_bytes=1000)
    with served.connect() as one:
        one.sendall(post(b"Content-Length: 1000", body=b"x" * 1000))
        first, _ = wire.one_answer(one)
        one.sendall(post(b"Transfer-Encoding: chunked", body=b"3e8\r\n" + b"x" * 1000 + b"\r\n0\r\n\r\n"))
        second, _ = wire.one_answer(one)
    assert wire.statuses(first + second) == [200, 200]
    assert [len(body) for _, _, body in served.app.seen] == [1000, 1000]


def test_a_body_of_mostly_framing_is_refused(serving: Callable[..., Any], wire: Any) -> None:
    served = serving(chunk_excess_bytes=1000)
    got = served.ask(post(b"Transfer-Encoding: chunked", body=b"1\r\nx\r\n" * 1000))
    assert wire.statuses(got) == [400]


def test_a_path_may_have_a_cap_of_its_own_or_none(serving: Callable[..., Any], wire: Any) -> None:
    caps = {"/free": None, "/small": 10}
    served = serving(body_bytes=1000, body_limit=lambda path: caps.get(path, 1000))
    with served.connect() as one:
        one.sendall(post(b"Content-Length: 300000", body=b"x" * 300_000, path=b"/free?a=b"))
        free, _ = wire.one_answer(one)
        one.sendall(post(b"Content-Length: 11", path=b"/small"))
        small = wire.until_end(one)
    assert wire.statuses(free + small) == [200, 413]
    assert served.app.seen == [("POST", "/free", b"x" * 300_000)]


def test_what_follows_an_early_answer_is_thrown_away_within_the_cap(serving: Callable[..., Any], wire: Any) -> None:
    served = serving(body_bytes=100_000, body_limit=lambda _: None)
    with served.connect() as one:
        one.sendall(post(b"Content-Length: 50000", path=b"/unread"))
        early, _ = wire.one_answer(one)
        one.sendall(b"x" * 50_000 + GET + b"\r\n")
        second, _ = wire.one_answer(one)
        assert wire.statuses(early + second) == [401, 200]
        one.sendall(post(b"Content-Length: 10000000", path=b"/unread"))
        _, _ = wire.one_answer(one)
        with pytest.raises((ConnectionResetError, BrokenPipeError)):
            for _ in range(1000):
                one.sendall(b"x" * 65536)


def test_a_connection_ends_when_the_body_was_offered_and_not_asked_for(served: Any, wire: Any) -> None:
    got = served.ask(post(b"Content-Length: 40", b"Expect: 100-continue", path=b"/unread"))
    assert wire.statuses(got) == [401]


def test_a_body_that_was_asked_for_arrives(served: Any, wire: Any) -> None:
    with served.connect() as one:
        one.sendall(post(b"Content-Length: 5", b"Expect: 100-continue"))
        assert one.recv(100) == b"HTTP/1.1 100 Continue\r\n\r\n"
        one.sendall(b"hello")
        answer, _ = wire.one_answer(one)
    assert wire.statuses(answer) == [200]


@pytest.mark.parametrize("coding", [b"gzip", b"zstd", b"deflate, gzip", b"br"])
def test_s04_an_encoded_body_is_refused(coding: bytes, served: Any, wire: Any) -> None:
    got = served.ask(post(b"Content-Encoding: " + coding, b"Content-Length: 5", body=b"hello"))
    assert wire.statuses(got) == [415]
    assert served.app.seen == []


def test_a_route_may_decode_its_bodies_itself(serving: Callable[..., Any], wire: Any) -> None:
    served = serving(encodings=lambda path: {"zstd"} if path == "/zstd" else ())
    with served.connect() as one:
        one.sendall(post(b"Content-Encoding: identity", b"Content-Length: 5", body=b"hello"))
        plain, _ = wire.one_answer(one)
        one.sendall(post(b"Content-Encoding: zstd", b"Content-Length: 5", body=b"hello", path=b"/zstd"))
        own, _ = wire.one_answer(one)
        one.sendall(post(b"Content-Encoding: zstd", b"Content-Length: 5", body=b"hello"))
        other = wire.until_end(one)
    assert wire.statuses(plain + own + other) == [200, 200, 415]


def test_the_last_connections_are_kept_for_health(serving: Callable[..., Any], wire: Any) -> None:
    served = serving(connections=4, reserve=2)
    held = [served.connect(), served.connect()]
    for one in held:
        one.sendall(GET + b"\r\n")
        wire.one_answer(one)
    assert wire.statuses(served.ask(GET + b"\r\n")) == [503]
    with served.connect() as probe:
        probe.sendall(b"GET /health HTTP/1.1\r\nHost: a\r\n\r\n")
        healthy, _ = wire.one_answer(probe)
        assert wire.statuses(healthy) == [200]
        with served.connect():
            assert wire.statuses(served.ask(b"GET /health HTTP/1.1\r\nHost: a\r\n\r\n")) == [503]
    for one in held:
        one.close()


def test_silence_does_not_hold_what_is_kept_for_health(serving: Callable[..., Any], wire: Any) -> None:
    served = serving(connections=2, reserve=1, reserve_timeout=0.1, header_timeout=30.0)
    with served.connect() as honest, served.connect() as silent:
        honest.sendall(GET + b"\r\n")
        wire.one_answer(honest)
        assert wire.until_end(silent) == b""
        with served.connect() as probe:
            probe.sendall(b"GET /health HTTP/1.1\r\nHost: a\r\n\r\n")
            assert wire.statuses(wire.one_answer(probe)[0]) == [200]


def test_a_place_that_is_given_back_is_taken_again(serving: Callable[..., Any], wire: Any) -> None:
    served = serving(connections=1, reserve=0)
    for _ in range(3):
        with served.connect() as one:
            one.sendall(GET + b"Connection: close\r\n\r\n")
            assert wire.statuses(wire.until_end(one)) == [200]


class _Connection:
    def check(self, now: float) -> None: ...


def test_one_address_may_not_take_every_connection() -> None:
    guard = Guard(Bounds(connections=10, reserve=0, per_address=2))
    connections = [_Connection() for _ in range(6)]
    near = [guard.enter(one, network_of("192.0.2.1")) for one in connections[:3]]
    far = guard.enter(connections[3], network_of("192.0.2.2"))
    own = [guard.enter(one, network_of("127.0.0.1")) for one in connections[4:]]
    assert near == ["open", "open", "crowded"]
    assert (far, own) == ("open", ["open", "open"])
    guard.leave(connections[2], network_of("192.0.2.1"))
    guard.leave(connections[1], network_of("192.0.2.1"))
    assert guard.enter(connections[1], network_of("192.0.2.1")) == "open"


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("2001:db8::1", "2001:db8::ffff:1", True),
        ("2001:db8::1", "2001:db8:0:1::1", False),
        ("::ffff:192.0.2.1", "192.0.2.1", True),
        ("::1", "127.0.0.1", True),
        ("fe80::1%eth0", "fe80::1", True),
    ],
)
def test_addresses_are_counted_by_network(one: str, other: str, *, same: bool) -> None:
    assert (network_of(one) == network_of(other)) is same


def test_no_more_connections_are_taken_than_there_are_descriptors(monkeypatch: pytest.MonkeyPatch) -> None:
    import resource

    monkeypatch.setattr(resource, "getrlimit", lambda _: (200, 200))
    fewer = within_descriptors(Bounds(connections=10_000))
    assert fewer.connections < 200 - 50 - 3  # a quarter is kept, and some are open
    assert 0 < fewer.reserve <= fewer.connections // 4
    assert within_descriptors(Bounds(connections=10)).connections == 10


def test_the_configuration_sets_the_bounds() -> None:
    bounds = Bounds.of(Server(max_body_bytes=7, max_headers=3, max_connections=8, idle_timeout=2.0))
    assert (bounds.body_bytes, bounds.headers, bounds.idle_timeout) == (7, 3, 2.0)
    assert (bounds.connections, bounds.reserve) == (8, 2)
    assert bounds.body_cap("/x") == 7


def test_unsent_bytes_in_the_kernel_are_bounded(served: Any) -> None:
    lowat = getattr(socket, "TCP_NOTSENT_LOWAT", None)
    if lowat is None:
        pytest.skip("this system has no TCP_NOTSENT_LOWAT")
    from hyperllama.server.server import bind

    (one,) = bind("127.0.0.1", 0)
    with one:
        assert one.getsockopt(socket.IPPROTO_TCP, lowat) == 128 * 1024

"""Ordinary clients notice nothing: kept connections, pipelined requests, early leavers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


def get(path: bytes, *lines: bytes) -> bytes:
    return b"GET " + path + b" HTTP/1.1\r\n" + b"".join(line + b"\r\n" for line in (b"Host: a", *lines)) + b"\r\n"


def test_a_connection_is_kept_for_the_next_request(served: Any, wire: Any) -> None:
    with served.connect() as one:
        for count in range(5):
            one.sendall(b"POST /%d HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc" % count)
            answer, rest = wire.one_answer(one)
            assert wire.statuses(answer) == [200]
            assert rest == b""
    assert [path for _, path, _ in served.app.seen] == [f"/{count}" for count in range(5)]


def test_a_request_that_says_close_is_the_last(served: Any, wire: Any) -> None:
    got = served.ask(get(b"/a", b"Connection: close") + get(b"/b"))
    assert wire.statuses(got) == [200]
    assert [path for _, path, _ in served.app.seen] == ["/a"]


def test_pipelined_requests_are_answered_in_order(served: Any, wire: Any) -> None:
    requests = [get(b"/%d" % count) for count in range(300)]
    bodies = [b"POST /p%d HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % (n, n) + b"x" * n for n in range(300)]
    got = b""
    with served.connect() as one:
        one.sendall(b"".join(a + b for a, b in zip(requests, bodies, strict=True)))
        answers = []
        for _ in range(600):
            answer, got = wire.one_answer(one, got)
            answers.append(answer.rpartition(b"\r\n\r\n")[2])
    assert answers == [part for n in range(300) for part in (b"0", b"%d" % n)]
    assert [path for _, path, _ in served.app.seen] == [part for n in range(300) for part in (f"/{n}", f"/p{n}")]


def test_pipelined_requests_behind_a_long_answer_are_not_piled_up(served: Any) -> None:
    with served.connect() as one:
        one.settimeout(0.5)
        one.sendall(get(b"/wait"))
        sent = 0
        try:
            while sent < 64 * 1024 * 1024:
                sent += one.send(get(b"/later") * 1000)
        except TimeoutError:
            pass
        assert sent < 32 * 1024 * 1024  # the rest of it waits at the client
        held: list[int] = []
        served.on_loop(lambda: held.extend(len(each._held) for each in served.guard.connections))
        assert 0 < held[0] <= 512 * 1024
    assert [path for _, path, _ in served.app.seen] == ["/wait"]


def test_leaving_is_noticed_while_the_application_works(served: Any) -> None:
    with served.connect() as one:
        one.sendall(b"POST /wait HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nab")
        assert served.app.entered.wait(5)
    assert served.app.left.wait(5)


def test_leaving_in_the_middle_of_a_body_is_noticed(served: Any) -> None:
    with served.connect() as one:
        one.sendall(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 20\r\n\r\nab")
    assert served.app.left.wait(5)
    assert served.app.seen == []


def test_a_large_body_arrives_whole_and_large(served: Any, wire: Any) -> None:
    body = bytes(range(256)) * 32_768  # 8 MiB
    with served.connect() as one:
        one.sendall(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
        answer, _ = wire.one_answer(one)
        chunks = b"".join(
            b"%x\r\n" % len(part) + part + b"\r\n"
            for part in (body[at : at + 32768] for at in range(0, len(body), 32768))
        )
        one.sendall(b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n" + chunks + b"0\r\n\r\n")
        second, _ = wire.one_answer(one)
    assert wire.statuses(answer + second) == [200, 200]
    assert [sent for _, _, sent in served.app.seen] == [body, body]


def test_every_connection_is_counted_out_again(serving: Callable[..., Any], wire: Any) -> None:
    served = serving()
    for sent in (get(b"/"), get(b"/")[:10], b"junk\r\n\r\n", b"", b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n"):
        with served.connect() as one:
            one.sendall(sent)
            if sent == get(b"/"):
                wire.one_answer(one)
    with served.connect() as one:
        one.sendall(get(b"/"))
        wire.one_answer(one)
    for _ in range(1000):
        served.on_loop(lambda: None)
        if not served.guard.connections:
            break
    assert served.guard.connections == set()
    assert served.guard._networks == {}

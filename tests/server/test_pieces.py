"""Tokens written past the application's layers: whole and in order, whoever reads them how slowly."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

ASK = b"POST /tokens HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"


def body_of(answer: bytes) -> bytes:
    """Chunked encoding undone, and the checks that go with it."""
    head, _, rest = answer.partition(b"\r\n\r\n")
    assert b"transfer-encoding: chunked" in head
    body, at = [], 0
    while True:
        end = rest.index(b"\r\n", at)
        size = int(rest[at:end], 16)
        body.append(rest[end + 2 : end + 2 + size])
        at = end + 2 + size + 2
        assert rest[at - 2 : at] == b"\r\n"
        if size == 0:
            assert at == len(rest)
            return b"".join(body)


def expected(last: int) -> bytes:
    return b"".join(b"%063d " % number for number in range(last + 1)) + b"end"


def test_every_token_arrives_once_and_in_order(serving: Callable[..., Any], wire: Any) -> None:
    served = serving()
    got = served.ask(ASK)
    assert wire.statuses(got[:20]) == [200]
    assert body_of(got) == expected(served.app.sent)


def test_a_reader_that_lags_is_waited_for_and_gets_every_token_too(
    serving: Callable[..., Any], wire: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hyperllama.stream.LAG", 1 << 30)  # nobody asks a real engine for all of it at once
    served = serving(write_buffer=16384)
    with served.connect(receive_buffer=4096) as one:
        one.sendall(ASK)
        first = one.recv(1)
        held = _held_when_all_is_made(served)
        got = first + wire.until_end(one)
    assert held <= 64 * 1024
    assert body_of(got) == expected(served.app.sent)


def _held_when_all_is_made(served: Any) -> int:
    """Bytes that the server itself holds for its readers once the last token is there."""
    held: list[int] = []

    def look() -> None:
        held.append(max((each.transport.get_write_buffer_size() for each in served.guard.connections), default=0))
        held.append(served.app.sent)

    while not held or held[-1] < 20_000:
        served.on_loop(look)
    return max(held[::2])

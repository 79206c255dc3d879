"""A bomb costs the guarded server nothing to speak of; the same bomb shows on an unguarded one."""

from __future__ import annotations

import contextlib
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

PROGRAM = Path(__file__).with_name("stopping.py")
MIB = 1024 * 1024


class Bombed:
    def __init__(self, *arguments: str) -> None:
        self.process = subprocess.Popen([sys.executable, str(PROGRAM), *arguments], stdout=subprocess.PIPE, text=True)
        assert self.process.stdout is not None
        self.port = int(self.process.stdout.readline())

    def connect(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), timeout=10)

    def ask(self, wire: Any) -> bytes:
        with self.connect() as one:
            one.sendall(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
            answer: bytes = wire.one_answer(one)[0]
        return answer

    def grown_by(self, sent: bytes, wire: Any) -> tuple[int, bytes]:
        """Bytes by which its memory had grown when it had read ``sent`` or had enough; and what it said."""
        for _ in range(20):
            self.ask(wire)
        process = psutil.Process(self.process.pid)
        before = process.memory_info().rss
        with self.connect() as one:
            with contextlib.suppress(ConnectionResetError, BrokenPipeError):
                one.sendall(sent)
            self.ask(wire)  # sent after the bomb, so it is answered once that has been read
            grown = process.memory_info().rss - before
            one.shutdown(socket.SHUT_WR) if grown > 8 * MIB else None
            said = wire.until_end(one)
        return grown, said

    def end(self) -> None:
        self.process.kill()
        self.process.communicate()


@pytest.fixture
def guarded() -> Iterator[Bombed]:
    server = Bombed("1")
    yield server
    server.end()


@pytest.fixture
def unguarded() -> Iterator[Bombed]:
    server = Bombed("unguarded")
    yield server
    server.end()


ONE_HEADER = b"GET / HTTP/1.1\r\nHost: a\r\nX: " + b"a" * (16 * MIB)


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (ONE_HEADER, 431),
        (b"GET / HTTP/1.1\r\nHost: a\r\n" + b"X: aaaaaaaaaaaaaaaaaaaaaaaaa\r\n" * (MIB // 2), 431),
        (b"GET /" + b"a" * (16 * MIB), 414),
        (b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100000000\r\n\r\n" + b"a" * (16 * MIB), 413),
        (b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1;" + b"a" * (16 * MIB), 400),
    ],
    ids=["one header", "many headers", "URL", "body", "chunk extension"],
)
def test_s02_a_bomb_leaves_memory_flat(sent: bytes, status: int, guarded: Bombed, wire: Any, bar: Any) -> None:
    grown, said = guarded.grown_by(sent, wire)
    bar.record(f"{grown / MIB:+.1f} MiB", rounds=5)
    assert grown <= 2 * MIB
    assert wire.statuses(said) in ([status], [])  # a sender that never stops may lose the answer with the connection


def test_s02_the_same_bomb_shows_on_an_unguarded_server(unguarded: Bombed, wire: Any, bar: Any) -> None:
    grown, _ = unguarded.grown_by(ONE_HEADER, wire)
    bar.record(f"unguarded {grown / MIB:+.0f} MiB", rounds=1)
    assert grown > 8 * MIB


def test_an_unguarded_server_takes_two_hosts(unguarded: Bombed, wire: Any) -> None:
    with unguarded.connect() as one:
        one.sendall(b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n")
        assert wire.statuses(wire.one_answer(one)[0]) == [200]

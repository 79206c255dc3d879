"""A stop by signal: not ready at once, running work finishes or ends with an error, and the process ends with 0."""

from __future__ import annotations

import contextlib
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

PROGRAM = Path(__file__).with_name("stopping.py")
PATIENCE = 20.0

Start = Callable[..., "Process"]


class Process:
    def __init__(self, *arguments: str, descriptors: int = 0) -> None:
        command = [sys.executable, str(PROGRAM), *arguments]
        if descriptors:
            command = ["sh", "-c", f'ulimit -n {descriptors}; exec "$@"', "sh", *command]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self.clients: list[socket.socket] = []
        self.port = int(self.line())

    def line(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline().strip()

    def signal(self, number: int) -> None:
        self.process.send_signal(number)

    def ask(self, path: str, *lines: str) -> socket.socket:
        one = self.connect()
        head = "".join(f"{line}\r\n" for line in (f"GET {path} HTTP/1.1", "Host: a", *lines))
        with contextlib.suppress(ConnectionError):
            one.sendall(f"{head}\r\n".encode())
        return one

    def connect(self, *, receive_buffer: int | None = None) -> socket.socket:
        one = socket.socket()
        self.clients.append(one)
        if receive_buffer is not None:
            one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        one.settimeout(PATIENCE)
        one.connect(("127.0.0.1", self.port))
        return one

    def end(self) -> tuple[int, str, str]:
        out, err = self.process.communicate(timeout=PATIENCE)
        return self.process.returncode, out, err


@pytest.fixture
def start() -> Iterator[Start]:
    running: list[Process] = []

    def go(*arguments: str, descriptors: int = 0) -> Process:
        running.append(Process(*arguments, descriptors=descriptors))
        return running[-1]

    yield go
    for each in running:
        if each.process.poll() is None:
            each.process.kill()
        each.process.communicate()
        for client in each.clients:
            client.close()


def body(got: bytes) -> bytes:
    """The chunks of an answer, joined. Fails when its end is missing."""
    chunks = got.partition(b"\r\n\r\n")[2]
    assert chunks.endswith(b"0\r\n\r\n"), got
    return b"".join(re.findall(rb"[0-9a-f]+\r\n(.*?)\r\n", chunks, re.DOTALL))


def first_piece(one: socket.socket) -> bytes:
    got = b""
    while b"begin" not in got:
        got += one.recv(4096)
    return got


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_work_that_fits_is_finished_and_new_work_refused(number: int, start: Start, wire: Any) -> None:
    server = start("10")
    idle = server.ask("/")
    assert wire.statuses(wire.one_answer(idle)[0]) == [200]
    streams = [server.ask(f"/stream?{count}") for count in (1, 10, 30)]
    got = [first_piece(one) for one in streams]
    server.signal(number)
    assert server.line() == "draining"
    for path in ("/health", "/other"):
        refused = wire.until_end(server.ask(path))
        assert wire.statuses(refused) == [503]
        assert b"connection: close" in refused
    idle.sendall(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
    assert wire.statuses(wire.until_end(idle)) == [503]
    for count, one, begun in zip((1, 10, 30), streams, got, strict=True):
        whole = b"begin\n" + b"".join(b"%d\n" % n for n in range(count)) + b"end\n"
        assert body(begun + wire.until_end(one)) == whole
    code, out, err = server.end()
    assert (code, out, err) == (0, "lifespan over\n", "")
    with pytest.raises(ConnectionRefusedError):
        server.ask("/")


def test_work_that_does_not_fit_ends_with_an_error_that_can_be_read(start: Start, wire: Any) -> None:
    server = start("0.3")
    one = server.ask("/stream?100000")
    begun = first_piece(one)
    server.signal(signal.SIGTERM)
    assert body(begun + wire.until_end(one)).endswith(b'{"error":"stopping"}\n')
    assert server.end() == (0, "draining\nlifespan over\n", "")


def test_a_gateway_without_work_ends_at_once(start: Start, wire: Any) -> None:
    server = start("600")
    one = server.ask("/")
    wire.one_answer(one)
    server.signal(signal.SIGTERM)
    assert wire.until_end(one) == b""
    assert server.end()[0] == 0


def test_work_that_never_gives_way_does_not_keep_the_process(start: Start) -> None:
    server = start("0.1", "1.0")
    first_piece(server.ask("/stubborn"))
    server.signal(signal.SIGTERM)
    code, _, err = server.end()
    assert code == 0
    assert "did not stop in time" in err


def test_a_second_signal_ends_it_whatever_runs(start: Start) -> None:
    server = start("600")
    first_piece(server.ask("/stream?1000000"))
    server.signal(signal.SIGTERM)
    assert server.line() == "draining"
    server.signal(signal.SIGTERM)
    assert server.end()[0] == 0


def test_a_second_signal_ends_even_what_never_gives_way(start: Start) -> None:
    server = start("600")
    first_piece(server.ask("/stubborn"))
    server.signal(signal.SIGTERM)
    assert server.line() == "draining"
    server.signal(signal.SIGINT)
    assert server.end()[0] == 1


def test_a_hangup_asks_for_a_reload(start: Start, wire: Any) -> None:
    server = start("1")
    server.signal(signal.SIGHUP)
    assert server.line() == "reload"
    assert wire.statuses(wire.one_answer(server.ask("/"))[0]) == [200]


def test_a_stalled_reader_does_not_keep_the_process(start: Start) -> None:
    server = start("0.3", "2.0")
    one = server.connect(receive_buffer=4096)
    one.sendall(b"GET /flood HTTP/1.1\r\nHost: a\r\n\r\n")
    first_piece(one)
    server.signal(signal.SIGTERM)
    assert server.end()[0] == 0


def test_running_out_of_descriptors_leaves_health_answered_and_the_log_quiet(start: Start, wire: Any) -> None:
    server = start("0.1", descriptors=64)
    hoard = [server.connect() for _ in range(150)]
    refused = 0
    for one in hoard:
        one.settimeout(0.01)
        try:
            refused += wire.statuses(one.recv(4096)) == [503]
        except TimeoutError:
            continue
        except ConnectionResetError:
            refused += 1
    assert 100 <= refused < 150
    for path, leaving in (("/health", hoard[:4]), ("/", hoard)):
        for one in leaving:
            one.close()
        while b" 200 " not in wire.until_end(server.ask(path, "Connection: close")):
            pass  # the server has not seen them go
    server.signal(signal.SIGTERM)
    assert server.end() == (0, "draining\nlifespan over\n", "")

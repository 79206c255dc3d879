"""Transcripts of HTTP as data: what is sent, and the bytes that must come back, but for what masks stand for.

A file holds scenarios, each headed by ``### title``; a scenario holds exchanges. ``>>> POST /path`` begins a request,
its headers and, after an empty line, its body follow; ``<<< 200`` begins the answer likewise. Bodies are written in
lines that are joined with nothing between them; ``⏎`` is a newline, ``{{name}}`` a mask. ``>>> hold POST /path`` leaves
its answer unfinished until the scenario ends.
"""

from __future__ import annotations

import re
import socket
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPResponse
from pathlib import Path

FRACTION = r"(?:\.\d{0,8}[1-9])?"  # trailing zeros are trimmed
MASKS: Mapping[str, str] = {
    "utc": rf"\d{{4}}-\d\d-\d\dT\d\d:\d\d:\d\d{FRACTION}Z",
    "local": rf"\d{{4}}-\d\d-\d\dT\d\d:\d\d:\d\d{FRACTION}(?:Z|[+-]\d\d:\d\d)",
    "ns": r"[1-9]\d*",
    "int": r"\d+",
    "call": r"call_[a-z0-9]{8}",
    "hex64": r"[0-9a-f]{64}",
    "hex24": r"[0-9a-f]{24}",
    "float": r"-?\d(?:\.\d+)?(?:e-?\d+)?",
    "text": r'[^"]*',
    "more": r".*",
    "lines": r"(?:.*\n)*?",
}
#: Said beside the contract, or by every HTTP server: never looked at.
BESIDE = frozenset(
    {
        "access-control-expose-headers",
        "cache-control",
        "connection",
        "date",
        "openai-processing-ms",
        "request-id",
        "server-timing",
        "vary",
        "x-request-id",
    }
)
_MASK = re.compile(r"\{\{(\w+)\}\}")


@dataclass(frozen=True)
class Exchange:
    method: str
    path: str
    headers: tuple[tuple[str, str], ...]
    body: bytes
    hold: bool
    status: int
    expected_headers: tuple[tuple[str, str], ...]
    expected_body: str


@dataclass(frozen=True)
class Scenario:
    title: str
    exchanges: tuple[Exchange, ...]


@dataclass(frozen=True)
class Answer:
    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes


def read(folder: Path) -> list[Scenario]:
    """Every scenario of a folder, its title behind the name of its file."""
    found = []
    for path in sorted(folder.glob("*.http")):
        for block in re.split(r"^### ", path.read_text("utf-8"), flags=re.MULTILINE)[1:]:
            title, _, rest = block.partition("\n")
            exchanges = re.split(r"^>>> ", rest, flags=re.MULTILINE)[1:]
            found.append(Scenario(f"{path.stem}: {title.strip()}", tuple(map(_exchange, exchanges))))
    return found


def play(scenario: Scenario, port: int) -> Iterator[tuple[Exchange, Answer]]:
    """Each exchange over a connection of its own, one after another."""
    with ExitStack() as stack:
        for exchange in scenario.exchanges:
            if exchange.hold:
                _hold(exchange, stack.enter_context(closing(_connection(port))))
                continue
            yield exchange, ask(exchange, port)


def ask(exchange: Exchange, port: int) -> Answer:
    """The bytes that come back, off the wire, until the connection ends."""
    with socket.create_connection(("127.0.0.1", port), timeout=20) as wire:
        wire.sendall(_written(exchange, port))
        answer = HTTPResponse(wire, method=exchange.method)
        answer.begin()
        body = answer.read()
        headers = tuple(sorted((name.lower(), value) for name, value in answer.getheaders()))
        return Answer(answer.status, headers, body)


def differences(exchange: Exchange, answer: Answer) -> list[str]:
    """A sentence for each thing that is not as it is written; none: the very bytes."""
    found = []
    if answer.status != exchange.status:
        found.append(f"status {answer.status}, not {exchange.status}")
    headers = {name: value for name, value in answer.headers if name not in BESIDE}
    wanted = dict(exchange.expected_headers)
    if "transfer-encoding" not in wanted and exchange.method != "HEAD" and exchange.status not in (204, 304):
        wanted.setdefault("content-length", str(len(answer.body)))
    for name in sorted(headers.keys() | wanted.keys()):
        have, want = headers.get(name), wanted.get(name)
        if have is None or want is None or not _pattern(want).fullmatch(have):
            found.append(f"{name}: {have!r}, not {want!r}")
    try:
        text = answer.body.decode("utf-8")
    except UnicodeDecodeError:
        return [*found, "the body is no UTF-8"]
    if not _pattern(exchange.expected_body).fullmatch(text):
        found.append(f"body\n  {text!r}\nnot\n  {exchange.expected_body!r}")
    return found


def literal(exchange: Exchange) -> Sequence[str]:
    """The parts of the expected body that no mask stands for."""
    return _MASK.split(exchange.expected_body)[::2]


def _pattern(text: str) -> re.Pattern[str]:
    parts = _MASK.split(text)
    return re.compile("".join(MASKS[part] if odd % 2 else re.escape(part) for odd, part in enumerate(parts)))


def _written(exchange: Exchange, port: int) -> bytes:
    """The request as it goes over the wire: nothing that was not written but what HTTP cannot do without."""
    names = {name.lower() for name, _ in exchange.headers}
    lines = [f"{exchange.method} {exchange.path} HTTP/1.1", "Connection: close"]
    if "host" not in names:
        lines.append(f"Host: 127.0.0.1:{port}")
    if exchange.body or exchange.method in ("POST", "DELETE"):
        lines.append(f"Content-Length: {len(exchange.body)}")
    lines += [f"{name}: {value}" for name, value in exchange.headers]
    return "\r\n".join([*lines, "", ""]).encode("utf-8") + exchange.body


def _connection(port: int) -> HTTPConnection:
    return HTTPConnection("127.0.0.1", port, timeout=20)


def _hold(exchange: Exchange, connection: HTTPConnection) -> None:
    connection.request(exchange.method, exchange.path, exchange.body, dict(exchange.headers))
    assert connection.getresponse().read(1)  # it has begun


def _exchange(text: str) -> Exchange:
    asked, _, answered = text.partition("\n<<< ")
    hold = asked.startswith("hold ")
    start, headers, body = _message(asked.removeprefix("hold "))
    method, _, path = start.partition(" ")
    status, expected_headers, expected_body = _message(answered) if answered else ("0", (), "")
    return Exchange(
        method, path, headers, _bytes(body), hold, int(status), tuple((n.lower(), v) for n, v in expected_headers),
        expected_body,
    )  # fmt: skip


def _message(text: str) -> tuple[str, tuple[tuple[str, str], ...], str]:
    start, _, rest = text.partition("\n")
    head, _, body = rest.partition("\n\n") if not rest.startswith("\n") else ("", "", rest)
    headers = [line.partition(": ") for line in head.splitlines() if line and not line.startswith("#")]
    lines = [line for line in body.splitlines() if not line.startswith("# ")]
    return start.strip(), tuple((name, value) for name, _, value in headers), "".join(lines).replace("⏎", "\n")


def _bytes(body: str) -> bytes:
    """``\\xNN`` is one byte, whatever it means in UTF-8."""
    parts = re.split(r"\\x([0-9a-f]{2})", body)
    return b"".join(bytes([int(part, 16)]) if odd % 2 else part.encode() for odd, part in enumerate(parts))

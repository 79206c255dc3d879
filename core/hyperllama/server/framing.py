"""Strict request framing, independent of the parser: an ambiguous request is refused, never guessed at."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache

from hyperllama.server.bounds import Bounds

_HOST = re.compile(rb"(?:[A-Za-z0-9._~-]*+|\[[0-9A-Fa-f:.]+\])(?::[0-9]{0,5})?")
_UPGRADE = re.compile(rb"(?i:\r\nupgrade:)[^\r\n]*+")
_CHUNK_LINE = re.compile(rb"([0-9A-Fa-f]{1,15})(?:;[\t -~\x80-\xff]*)?")
_WATCHED = frozenset({b"host", b"content-length", b"transfer-encoding", b"content-encoding"})


class RefusedError(Exception):
    """A request to answer with ``status``, after which the connection ends."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.message = message


def check_line(head: bytes, bounds: Bounds) -> int:
    """Check the sizes and the version of a complete head; return the minor version. Raises RefusedError."""
    end = head.find(b"\r\n")
    if end > bounds.url_bytes and len(max(head[:end].split(b" "), key=len)) > bounds.url_bytes:
        raise _long_url(bounds)
    if len(head) - end > bounds.header_bytes:
        raise _long_head(bounds)
    line = head[:end]
    if line.count(b" ") == 2:
        if line.endswith(b" HTTP/1.1"):
            return 1
        if line.endswith(b" HTTP/1.0"):
            return 0
    raise RefusedError(400, "the request line is not valid HTTP/1.1")


def body_of(
    path: str, minor: int, headers: Sequence[tuple[bytes, bytes]], bounds: Bounds
) -> tuple[int, bool, int | None]:
    """Return the length of the body, True if it is chunked instead, and its limit in bytes.

    The limit is None for a request without a body and where there is none. Names in ``headers`` are in lower case.
    Raises RefusedError for a framing that can be read in two ways, and for a length over the limit.
    """
    if len(headers) > bounds.headers:
        raise RefusedError(431, f"too many header fields; {bounds.headers} are the limit")
    found = [field for field in headers if field[0] in _WATCHED]
    if len(found) == 1 and found[0][0] == b"host":
        check_host(found[0][1])
        return 0, False, None
    watched = dict(found)
    if len(watched) < len(found):
        raise RefusedError(400, "Host, Content-Length, Transfer-Encoding and Content-Encoding may come once each")
    if (host := watched.get(b"host")) is not None:
        check_host(host)
    elif minor:  # HTTP/1.0 has none: load balancers' checks of health come without
        raise RefusedError(400, "a Host header is needed")
    length, chunked = _framing(watched.get(b"content-length"), watched.get(b"transfer-encoding"), minor)
    if not (length or chunked):
        return 0, False, None
    limit = bounds.body_cap(path)
    if limit is not None and length > limit:
        raise _large(limit)
    if b"content-encoding" in watched:
        _check_coding(watched[b"content-encoding"], path, bounds)
    return length, chunked, limit


def without_upgrade(head: bytes, headers: Sequence[tuple[bytes, bytes]]) -> bytes:
    """Return ``head`` without an Upgrade that may be ignored, such as h2c. Raises RefusedError for WebSocket."""
    if any(name == b"upgrade" and b"websocket" in value.lower() for name, value in headers):
        raise RefusedError(426, "WebSocket is not offered here; send the request over HTTP")
    return _UPGRADE.sub(b"", head)


def check_partial(seen: bytearray, bounds: Bounds) -> None:
    """Check the sizes of a head that is still incomplete. Raises RefusedError."""
    slack = 64  # method, version, line ends
    if len(seen) > bounds.url_bytes + slack and seen.find(b"\r\n", 2, bounds.url_bytes + slack) < 0:
        raise _long_url(bounds)
    if len(seen) > bounds.url_bytes + bounds.header_bytes + slack:
        raise _long_head(bounds)


class Chunks:
    """The framing of one chunked body. Trailers, spaces and bare line feeds are refused."""

    __slots__ = ("_bounds", "_excess", "_left", "_line", "_total", "limit")

    def __init__(self, bounds: Bounds, limit: int | None) -> None:
        self._bounds = bounds
        self.limit = limit
        self._line = b""  # of a size line, what has come
        self._left = -1  # bytes to come of the chunk and its CRLF; -1: a size line comes
        self._total = 0
        self._excess = 0

    def end(self, data: bytes, at: int) -> tuple[int, bool]:
        """Return the end of the body's part of ``data`` from ``at``; True: the body ends there. Raises RefusedError."""
        size = len(data)
        while at < size:
            left = self._left
            if left < 0:
                at = self._size_line(data, at)
                continue
            step = min(size - at, left)
            closing = data[at + max(left - 2, 0) : at + step]  # what is here of the CRLF after it, or after the last
            if closing != b"\r\n"[2 - min(left, 2) :][: len(closing)]:
                raise RefusedError(400, "the chunked body is malformed")
            at += step
            self._left = left - step
            if self._left == 0:
                if self._total < 0:
                    return at, True
                self._left = -1
        return at, False

    def _size_line(self, data: bytes, at: int) -> int:
        found = data.find(b"\n", at)
        line = self._line + data[at : found + 1 if found >= 0 else len(data)]
        if len(line) > self._bounds.chunk_line_bytes:
            raise RefusedError(400, "a chunk extension is too long")
        if found < 0:
            self._line = line
            return len(data)
        self._line = b""
        match = _CHUNK_LINE.fullmatch(line, 0, len(line) - 2) if line.endswith(b"\r\n") else None
        if match is None:
            raise RefusedError(400, "the chunked body is malformed")
        size = int(match.group(1), 16)
        self._excess += len(line) + 2 - size
        if self._excess > self._bounds.chunk_excess_bytes:
            raise RefusedError(400, "the chunked body is mostly framing")
        self._excess = max(self._excess, 0)
        self._total = self._total + size if size else -1
        if self.limit is not None and self._total > self.limit:
            raise _large(self.limit)
        self._left = size + 2
        return found + 1


def _framing(length: bytes | None, coding: bytes | None, minor: int) -> tuple[int, bool]:
    if coding is not None:
        if length is not None:
            raise RefusedError(400, "Content-Length and Transfer-Encoding exclude each other")
        if coding.strip(b" \t").lower() != b"chunked" or minor == 0:
            raise RefusedError(400, "the only Transfer-Encoding is chunked, in HTTP/1.1")
        return 0, True
    if length is None:
        return 0, False
    digits = length.strip(b" \t")
    if not digits.isdigit():  # of bytes: ASCII only
        raise RefusedError(400, "Content-Length is not a number")
    if len(digits) > 19:
        raise RefusedError(413, "the request body is too large")
    return int(digits), False


@lru_cache(maxsize=256)  # clients send few
def check_host(value: bytes) -> None:
    """Raise RefusedError for anything but a host name with or without a port, or nothing."""
    if _HOST.fullmatch(value.strip(b" \t")) is None:
        raise RefusedError(400, "the Host header is not a host name")


def _check_coding(value: bytes, path: str, bounds: Bounds) -> None:
    coding = value.strip(b" \t").lower().decode("latin-1")
    decoded = bounds.encodings(path) if bounds.encodings is not None else ()
    if coding not in ("", "identity") and coding not in decoded:
        raise RefusedError(415, "the Content-Encoding of the request is not supported; send the body as it is")


def _long_url(bounds: Bounds) -> RefusedError:
    return RefusedError(414, f"the URL is too long; {bounds.url_bytes} bytes are the limit")


def _long_head(bounds: Bounds) -> RefusedError:
    return RefusedError(431, f"the header fields are too large; {bounds.header_bytes} bytes are the limit")


def _large(limit: int) -> RefusedError:
    return RefusedError(413, f"the request body is too large; {limit} bytes are the limit")


__all__ = ("Chunks", "RefusedError", "body_of", "check_host", "check_line", "check_partial", "without_upgrade")

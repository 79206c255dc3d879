"""Where a request ends, decided strictly and apart from the parser: what is ambiguous is refused, never guessed."""

from __future__ import annotations

import re
from typing import NamedTuple

from hyperllama.web.bounds import Bounds

_REQUEST_LINE = re.compile(rb"(?:\r\n)?([A-Z]+(?:-[A-Z]+)?) (/[!\"$-~]*+|\*) HTTP/1\.([01])\r\n")
_ANY_TARGET = re.compile(rb"(?:\r\n)?\S* (\S*)")
_SPACED_NAME = re.compile(rb"\r\n[^:\r\n]*+(?<=[ \t]):")
_HOST = re.compile(rb"(?:[a-z0-9._~-]*+|\[[0-9a-f:.]+\])(?::[0-9]{0,5})?")
_UPGRADE = re.compile(rb"(?i:\r\nupgrade:)[^\r\n]*+")
_DIGITS = re.compile(rb"[0-9]+")
_CHUNK_LINE = re.compile(rb"([0-9A-Fa-f]{1,15})(?:;[\t -~\x80-\xff]*)?")


class RefusedError(Exception):
    """The request is answered with ``status`` and the connection ends."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.message = message


class Head(NamedTuple):
    """A request's head that reads one way only."""

    raw: bytes  # for the parser; an Upgrade that we ignore is gone from it
    path: str  # as sent, without the query
    length: int  # of the body; 0 when ``chunked``
    chunked: bool
    limit: int | None  # bytes the body may have


def read_head(raw: bytes, bounds: Bounds) -> Head:
    """Judge a complete head, its final empty line included. Raises RefusedError."""
    line = _REQUEST_LINE.match(raw)
    if line is None:
        attempt = _ANY_TARGET.match(raw)
        if attempt is not None and len(attempt.group(1)) > bounds.url_bytes:
            raise _long_url(bounds)
        raise RefusedError(400, "the request line is not valid HTTP/1.1")
    ends = raw.count(b"\r\n")
    if raw.count(b"\n") != ends or raw.count(b"\r") != ends:
        raise RefusedError(400, "header lines must end with CRLF")
    start = line.end()
    target = line.group(2)
    if len(target) > bounds.url_bytes:
        raise _long_url(bounds)
    if len(raw) - start > bounds.header_bytes:
        raise _long_head(bounds)
    if ends - 2 > bounds.headers:
        raise RefusedError(431, f"too many header fields; {bounds.headers} are the limit")
    low = raw.lower()
    if b"\r\n " in low or b"\r\n\t" in low:
        raise RefusedError(400, "folded header lines are not accepted")
    if (b" :" in low or b"\t:" in low) and _SPACED_NAME.search(low, start - 2):
        raise RefusedError(400, "white space before the colon of a header is not accepted")
    if low.count(b"\r\nhost:") != 1:
        raise RefusedError(400, "exactly one Host header is needed")
    if _HOST.fullmatch(_value(low, b"\r\nhost:")) is None:
        raise RefusedError(400, "the Host header is not a host name")
    if b"\r\nupgrade:" in low:
        if _value(low, b"\r\nupgrade:").startswith(b"websocket"):
            raise RefusedError(400, "WebSocket is not offered here")
        raw = _UPGRADE.sub(b"", raw)  # any other offer, such as h2c, may be ignored
    path = target.partition(b"?")[0].decode("ascii")
    length, chunked = _body(low, version=line.group(3))
    limit = None
    if length or chunked:
        limit = bounds.body_cap(path)
        if limit is not None and length > limit:
            raise _large(limit)
        if b"\r\ncontent-encoding:" in low:
            _check_coding(low, path, bounds)
    return Head(raw, path, length, chunked, limit)


def check_partial(seen: bytearray, bounds: Bounds) -> None:
    """Judge what there is of a head whose end has not come. Raises RefusedError."""
    slack = 64  # method, version, line ends
    if len(seen) > bounds.url_bytes + slack and seen.find(b"\r\n", 2, bounds.url_bytes + slack) < 0:
        raise _long_url(bounds)
    if len(seen) > bounds.url_bytes + bounds.header_bytes + slack:
        raise _long_head(bounds)


class Chunks:
    """Follows one chunked body. Trailers, spaces and bare line feeds are refused."""

    __slots__ = ("_bounds", "_excess", "_left", "_line", "_total", "limit")

    def __init__(self, bounds: Bounds, limit: int | None) -> None:
        self._bounds = bounds
        self.limit = limit
        self._line = b""  # of a size line, what has come
        self._left = -1  # bytes to come of the chunk and its CRLF; -1: a size line comes
        self._total = 0
        self._excess = 0

    def end(self, data: bytes, at: int) -> tuple[int, bool]:
        """How far into ``data``, from ``at``, the body goes, and whether it ends there. Raises RefusedError."""
        size = len(data)
        while at < size:
            if self._left > 2:  # data
                step = min(self._left - 2, size - at)
                self._left -= step
                at += step
            elif self._left > 0:  # the CRLF after it, or after the last chunk
                if data[at] != (0x0D if self._left == 2 else 0x0A):
                    raise RefusedError(400, "the chunked body is malformed")
                self._left -= 1
                at += 1
                if self._left == 0:
                    if self._total < 0:
                        return at, True
                    self._left = -1
            else:
                at = self._size_line(data, at)
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


def _body(low: bytes, *, version: bytes) -> tuple[int, bool]:
    lengths = low.count(b"\r\ncontent-length:")
    codings = low.count(b"\r\ntransfer-encoding:")
    if lengths + codings > 1:
        raise RefusedError(400, "more than one Content-Length or Transfer-Encoding")
    if codings:
        if _value(low, b"\r\ntransfer-encoding:") != b"chunked" or version == b"0":
            raise RefusedError(400, "the only Transfer-Encoding is chunked, in HTTP/1.1")
        return 0, True
    if not lengths:
        return 0, False
    value = _value(low, b"\r\ncontent-length:")
    if _DIGITS.fullmatch(value) is None:
        raise RefusedError(400, "Content-Length is not a number")
    if len(value) > 19:
        raise RefusedError(413, "the request body is too large")
    return int(value), False


def _check_coding(low: bytes, path: str, bounds: Bounds) -> None:
    coding = _value(low, b"\r\ncontent-encoding:").decode("latin-1")
    decoded = bounds.encodings(path) if bounds.encodings is not None else ()
    if low.count(b"\r\ncontent-encoding:") > 1 or (coding not in ("", "identity") and coding not in decoded):
        raise RefusedError(415, "the Content-Encoding of the request is not supported; send the body as it is")


def _value(low: bytes, field: bytes) -> bytes:
    start = low.find(field) + len(field)
    return low[start : low.find(b"\r\n", start)].strip(b" \t")


def _long_url(bounds: Bounds) -> RefusedError:
    return RefusedError(414, f"the URL is too long; {bounds.url_bytes} bytes are the limit")


def _long_head(bounds: Bounds) -> RefusedError:
    return RefusedError(431, f"the header fields are too large; {bounds.header_bytes} bytes are the limit")


def _large(limit: int) -> RefusedError:
    return RefusedError(413, f"the request body is too large; {limit} bytes are the limit")


__all__ = ("Chunks", "Head", "RefusedError", "check_partial", "read_head")

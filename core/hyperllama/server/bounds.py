"""Bounds on the size and the pace of requests."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import TypeAlias

import msgspec

from hyperllama.config import Server

#: Bytes that a request body to this path may have; None: as many as its route takes.
BodyLimit: TypeAlias = Callable[[str], "int | None"]
#: Content codings, in lower case, that the route at this path decodes itself.
Encodings: TypeAlias = Callable[[str], Collection[str]]
#: Path, status and reason of a refusal to its body and media type, in the words of the path's dialect.
Spell: TypeAlias = Callable[[str, int, str], tuple[bytes, str]]


class _Refusal(msgspec.Struct, frozen=True):
    error: str


def plain(_: str, __: int, reason: str) -> tuple[bytes, str]:
    """Return a refusal at a path of no dialect."""
    return msgspec.json.encode(_Refusal(reason)), "application/json"


class Bounds(msgspec.Struct, frozen=True, kw_only=True):
    """The bounds, in seconds and bytes. Paths are as they were sent: percent signs undecoded, without the query."""

    header_bytes: int = 32 * 1024  # all header lines of a request together
    headers: int = 100
    url_bytes: int = 8 * 1024
    body_bytes: int = Server().max_body_bytes
    chunk_line_bytes: int = 4 * 1024  # one chunk's size and extensions
    chunk_excess_bytes: int = 64 * 1024  # by how much framing may outweigh the data of a chunked body
    header_timeout: float = 10.0  # from accepting, or from the head's first byte, to its last
    body_timeout: float = 60.0  # for bodies that have a limit
    body_grace: float = 5.0  # the window over which ``body_rate`` is measured
    body_rate: int = 1024  # bytes a second
    stall_timeout: float = 60.0
    idle_timeout: float = 75.0
    sse_keep_alive: float = 15.0
    linger: float = 1.0  # after a refusal, how long the rest of the request is read and thrown away
    # Bytes that wait for a reader before the application has to. Few: uvloop keeps a kibibyte for every small write.
    write_buffer: int = 32 * 1024
    connections: int = 10_000
    reserve: int = 32  # the last of ``connections`` are for ``always`` only
    reserve_timeout: float = 1.0  # a silent connection must not hold one of those for long
    per_address: int = 256  # not for loopback addresses
    always: frozenset[str] = frozenset({"/health", "/ready"})  # paths answered even when connections run out
    body_limit: BodyLimit | None = None  # None: ``body_bytes`` everywhere
    encodings: Encodings | None = None  # None: no route decodes any
    spell: Spell = plain

    @classmethod
    def of(
        cls,
        server: Server,
        *,
        body_limit: BodyLimit | None = None,
        encodings: Encodings | None = None,
        spell: Spell = plain,
    ) -> Bounds:
        """Return the bounds that ``[server]`` of the configuration sets."""
        return cls(
            header_bytes=server.max_header_bytes,
            headers=server.max_headers,
            url_bytes=server.max_url_bytes,
            body_bytes=server.max_body_bytes,
            header_timeout=server.header_timeout,
            body_timeout=server.body_timeout,
            body_rate=server.min_body_rate,
            stall_timeout=server.stall_timeout,
            idle_timeout=server.idle_timeout,
            sse_keep_alive=server.sse_keep_alive,
            connections=server.max_connections,
            reserve=min(32, server.max_connections // 4),
            per_address=server.max_connections_per_address,
            body_limit=body_limit,
            encodings=encodings,
            spell=spell,
        )

    def body_cap(self, path: str) -> int | None:
        return self.body_bytes if self.body_limit is None else self.body_limit(path)


__all__ = ("BodyLimit", "Bounds", "Encodings", "Spell", "plain")

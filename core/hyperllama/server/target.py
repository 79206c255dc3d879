"""The target of a request, as path and query of this server: absolute forms, extra slashes and dots are taken out."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache

import msgspec

from hyperllama.server.framing import RefusedError, check_host

_ABSOLUTE = re.compile(rb"(?i:https?)://([^/?#:][^/?#]*)")
_ODD = re.compile(rb"//|/\.|/%2[Ee]")  # where a path may differ from its clean form


class Target(msgspec.Struct, frozen=True):
    """A target in origin form, or ``*``. ``authority``: of the absolute form, which stands in for Host."""

    path: str  # as sent, percent signs undecoded, but clean
    sent: bytes  # path and query
    authority: bytes | None = None


@lru_cache(maxsize=256)  # nearly every request has one of a few
def target_of(target: bytes, options: bool) -> Target:
    """Read a target; ``options``: of an OPTIONS request. Raises RefusedError for one that has no path here."""
    if b"#" in target or not target.isascii():
        raise _no_path()
    if b"%00" in target:  # no name of anything has one, and databases refuse it
        raise RefusedError(400, "the request target has a NUL")
    authority = None
    if (absolute := _ABSOLUTE.match(target)) is not None:
        authority = absolute.group(1)
        check_host(authority)
        target = target[absolute.end() :]
        if target[:1] != b"/":  # RFC 9112, 3.2.4: without a path OPTIONS is about the whole server
            target = b"*" if options and not target else b"/" + target
    if target == b"*" and options:
        return Target("*", target, authority)
    if target[:1] != b"/":
        raise _no_path()
    path, mark, query = target.partition(b"?")
    if _ODD.search(path) is not None:
        path = _clean(path)
    return Target(path.decode("ascii"), path + mark + query, authority)


def with_host(headers: Sequence[tuple[bytes, bytes]], target: Target) -> list[tuple[bytes, bytes]]:
    """Return ``headers`` with the host of a target in absolute form. Raises RefusedError for another Host beside it.

    RFC 9112, 3.2.2 has that Host ignored. A proxy may have gone by it, though: of two hosts none is right.
    """
    authority = target.authority or b""
    others = []
    for name, value in headers:
        if name == b"host" and _bare(value) not in (b"", _bare(authority)):
            raise RefusedError(400, "the request target and the Host header name different hosts")
        if name != b"host":
            others.append((name, value))
    return [*others, (b"host", authority)]


def _bare(host: bytes) -> bytes:
    return host.strip(b" \t").lower().removesuffix(b":80").removesuffix(b":443").removesuffix(b":")


def _clean(path: bytes) -> bytes:
    """Return ``path`` as Go's router cleans it: no empty or dotted segment, and a slash at the end if it had one."""
    found: list[bytes] = []
    for segment in path.split(b"/"):
        match segment.lower().replace(b"%2e", b"."):
            case b"" | b".":
                pass
            case b"..":
                del found[-1:]
            case _:
                found.append(segment)
    ends = b"/" if found and path.endswith(b"/") else b""
    return b"/" + b"/".join(found) + ends


def _no_path() -> RefusedError:
    return RefusedError(400, "the request target is not a path")


__all__ = ("Target", "target_of", "with_host")

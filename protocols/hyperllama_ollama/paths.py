"""The treatment of paths that are almost a route: as in Ollama's router, only a trailing slash is redirected."""

from __future__ import annotations

from collections.abc import Callable

import msgspec


class Redirect(msgspec.Struct, frozen=True):
    """A redirect with ``status`` and ``location``; its body is empty."""

    status: int
    location: str


def redirect(method: str, path: str, query: str, *, known: Callable[[str], bool]) -> Redirect | None:
    """Return the redirect of ``path``; None to leave it as it is.

    ``known`` says whether a path has a route. A GET is sent on for good (301), other methods keep theirs (307).
    """
    if len(path) < 2 or not path.endswith("/") or path.endswith("//"):
        return None
    target = path[:-1]
    if not known(target):
        return None
    return Redirect(301 if method == "GET" else 307, f"{target}?{query}" if query else target)


__all__ = ("Redirect", "redirect")

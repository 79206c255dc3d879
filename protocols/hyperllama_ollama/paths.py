"""What Ollama's router does with a path that is almost one of its own: a trailing slash is redirected, nothing else."""

from __future__ import annotations

from collections.abc import Callable

import msgspec


class Redirect(msgspec.Struct, frozen=True):
    """``status`` and the ``location`` to send; the body is empty."""

    status: int
    location: str


def redirect(method: str, path: str, query: str, *, known: Callable[[str], bool]) -> Redirect | None:
    """Where ``path`` should have gone; None: leave it as it is.

    ``known`` says whether a path has a route. A GET is sent on for good (301), other methods keep theirs (307).
    """
    if len(path) < 2 or not path.endswith("/") or path.endswith("//"):
        return None
    target = path[:-1]
    if not known(target):
        return None
    return Redirect(301 if method == "GET" else 307, f"{target}?{query}" if query else target)


__all__ = ("Redirect", "redirect")

"""Fair shares of a common bound."""

from __future__ import annotations

from collections.abc import Iterable


def fair_share(held: Iterable[int], most: int) -> int:
    """Return the largest share such that all together keep at most ``most`` when none keeps more than it.

    An owner who holds less loses nothing, and the rest of that share goes to the others.
    """
    left = most
    sizes = sorted(held)
    for place, size in enumerate(sizes):
        share = left // (len(sizes) - place)
        if size > share:
            return share
        left -= size
    return max(sizes, default=0)


__all__ = ("fair_share",)

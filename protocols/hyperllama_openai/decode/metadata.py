"""Metadata that a caller attaches to what is stored: a few short pairs of strings."""

from __future__ import annotations

from collections.abc import Mapping

from hyperllama_openai.errors import InvalidType, InvalidValue

PAIRS, NAME, VALUE = 16, 64, 512  # pairs, and characters of each


def metadata(given: object) -> dict[str, str]:
    """Return checked metadata; None is none. Raise InvalidType or InvalidValue."""
    if given is None:
        return {}
    if not isinstance(given, Mapping) or not all(isinstance(value, str) for value in given.values()):
        raise InvalidType("Invalid type for 'metadata': expected an object of strings.", param="metadata")
    if not fits(given):
        raise InvalidValue(
            f"'metadata' takes {PAIRS} pairs of at most {NAME} and {VALUE} characters.", param="metadata"
        )
    return dict(given)


def fits(pairs: Mapping[str, str]) -> bool:
    """Return whether ``pairs`` are few and short enough."""
    return len(pairs) <= PAIRS and all(len(name) <= NAME and len(value) <= VALUE for name, value in pairs.items())


__all__ = ("NAME", "PAIRS", "VALUE", "fits", "metadata")

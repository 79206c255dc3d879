"""Word lists written as running text."""

from __future__ import annotations

__all__ = ("listed",)


def listed(text: str) -> list[str]:
    """Return the items between the commas; line breaks count as blanks."""
    return [" ".join(item.split()) for item in text.split(",")]

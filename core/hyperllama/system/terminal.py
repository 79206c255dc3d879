"""Text as a terminal and a line of a log may show it."""

from __future__ import annotations

LONGEST = 2048  # characters of a message


def one_line(text: object) -> str:
    """Return ``text`` in one line of at most ``LONGEST`` characters, with what is not printable escaped."""
    line = "".join(char if char.isprintable() else repr(char)[1:-1] for char in str(text)[: LONGEST + 1])
    return line if len(line) <= LONGEST else line[:LONGEST] + "..."


__all__ = ("LONGEST", "one_line")

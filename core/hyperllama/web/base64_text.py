"""Base64 as clients write it: standard letters, padded or not."""

from __future__ import annotations

from base64 import b64decode


def from_base64(text: str) -> bytes:
    """Return the bytes that ``text`` spells. Raise ValueError "not valid base64" for anything else."""
    try:
        return b64decode(text + "=" * (-len(text) % 4), validate=True)
    except ValueError as error:
        raise ValueError("not valid base64") from error


__all__ = ("from_base64",)

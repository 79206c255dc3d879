"""Identifiers in the form that OpenAI's clients expect: a prefix for the kind, then randomness."""

from __future__ import annotations

import secrets


def new(prefix: str) -> str:
    """Return ``prefix`` with 32 random hexadecimal digits."""
    return f"{prefix}{secrets.token_hex(16)}"


__all__ = ("new",)

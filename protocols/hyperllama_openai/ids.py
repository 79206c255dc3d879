"""Identifiers as OpenAI's clients expect them: a prefix that tells what it names, then randomness."""

from __future__ import annotations

import secrets


def new(prefix: str) -> str:
    """``chatcmpl-``, ``cmpl-``, ``call_``, ``resp_``, ``msg_``, ``fc_``, ``rs_`` and 32 hexadecimal digits."""
    return f"{prefix}{secrets.token_hex(16)}"


__all__ = ("new",)

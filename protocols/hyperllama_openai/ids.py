"""Identifiers in the form that OpenAI's clients expect: a prefix for the kind, then 32 hexadecimal digits.

Those of a response's items hold the response's own: an item that a client names is found without an index.
"""

from __future__ import annotations

import re
import secrets

_ROOT = 28  # digits that a response and its items have in common
_ID = re.compile(r"[a-z]{1,8}_([0-9a-f]{28})[0-9a-f]{4}")


def new(prefix: str) -> str:
    """Return ``prefix`` with 32 random hexadecimal digits."""
    return f"{prefix}{secrets.token_hex(16)}"


def response() -> str:
    """Return the id of a new response."""
    return f"resp_{secrets.token_hex(_ROOT // 2)}0000"


def item(response_id: str, prefix: str, number: int) -> str:
    """Return the id of one of a response's items; ``number`` counts from 1, those of its input and output together."""
    found = _ID.fullmatch(response_id)
    return new(prefix) if found is None or not 0 < number < 0x10000 else f"{prefix}{found[1]}{number:04x}"


def response_of(item_id: str) -> str | None:
    """Return the id of the response that an item would belong to; None: an id of another form."""
    found = _ID.fullmatch(item_id)
    return None if found is None else f"resp_{found[1]}0000"


__all__ = ("item", "new", "response", "response_of")

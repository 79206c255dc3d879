"""The id of a request that brought none of its own."""

from __future__ import annotations

from secrets import token_hex


def new_request_id() -> str:
    return f"req_{token_hex(12)}"


__all__ = ("new_request_id",)

"""JSON answers of the admin API."""

from __future__ import annotations

import msgspec
from litestar import Response

_JSON = msgspec.json.Encoder()


def json(value: msgspec.Struct, status: int = 200) -> Response[bytes]:
    return Response(_JSON.encode(value), media_type="application/json", status_code=status)


__all__ = ("json",)

"""What a query or the fields of a form say: text, until a Struct names its types."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

import msgspec
from litestar import Request

T = TypeVar("T", bound=msgspec.Struct)


def read_query(request: Request[Any, Any, Any], type_: type[T]) -> T:
    """Of a parameter said twice the first counts; those that ``type_`` lacks are ignored. Raises ValidationError."""
    return from_text(dict(request.query_params), type_)


def from_text(said: Mapping[str, str], type_: type[T]) -> T:
    """Raises msgspec.ValidationError."""
    try:
        return msgspec.convert(said, type_, strict=False)
    except msgspec.ValidationError as error:
        # Everything here is text: that it is says nothing of what is wrong.
        raise msgspec.ValidationError(str(error).replace(", got `str`", "")) from error


__all__ = ("from_text", "read_query")

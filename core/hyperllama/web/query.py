"""Queries and fields of forms as Structs: all of it is text that the Struct gives types."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

import msgspec
from litestar import Request

T = TypeVar("T", bound=msgspec.Struct)


def read_query(request: Request[Any, Any, Any], type_: type[T]) -> T:
    """Return the query as a ``type_``. The first of repeated parameters counts; unknown ones are ignored.

    Raises msgspec.ValidationError.
    """
    return from_text(dict(request.query_params), type_)


def from_text(said: Mapping[str, str], type_: type[T]) -> T:
    """Return ``said`` as a ``type_``, its values converted from text. Raises msgspec.ValidationError."""
    try:
        return msgspec.convert(said, type_, strict=False)
    except msgspec.ValidationError as error:
        # Everything here is text: that it is says nothing of what is wrong.
        raise msgspec.ValidationError(str(error).replace(", got `str`", "")) from error


__all__ = ("from_text", "read_query")

"""A JSON body as one of the wire Structs, refused in Anthropic's words."""

from __future__ import annotations

from typing import Any, TypeVar

import msgspec
from litestar import Request

from hyperllama.web import read_json
from hyperllama_anthropic.errors import invalid, refusal

T = TypeVar("T", bound=msgspec.Struct)


async def read(request: Request[Any, Any, Any], type_: type[T], *, strict: bool) -> T:
    """Raises InvalidRequest; ``strict`` refuses top-level fields that ``type_`` lacks."""
    return convert(await read_json(request), type_, strict=strict)


def convert(value: object, type_: type[T], *, strict: bool) -> T:
    if strict and isinstance(value, dict) and (unknown := value.keys() - set(type_.__struct_encode_fields__)):
        raise invalid(min(unknown)[:80], "Extra inputs are not permitted")
    try:
        return msgspec.convert(value, type_)
    except msgspec.ValidationError as error:
        raise refusal(error) from error


__all__ = ("convert", "read")

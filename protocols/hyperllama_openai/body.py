"""What a request says in its body, its query or its form, as one of the wire Structs; refused in OpenAI's words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

import msgspec
from litestar import Request

from hyperllama.web import from_text, read_json
from hyperllama_openai.errors import InvalidType, UnknownParameter, refusal

T = TypeVar("T", bound=msgspec.Struct)


async def read(request: Request[Any, Any, Any], type_: type[T], *, strict: bool) -> T:
    """Raises InvalidRequest with the ``param`` at fault; ``strict`` refuses top-level fields that ``type_`` lacks."""
    return convert(await read_json(request), type_, strict=strict)


def convert(value: object, type_: type[T], *, strict: bool) -> T:
    if not isinstance(value, dict):
        raise InvalidType("The request body must be a JSON object.")
    if strict and (unknown := value.keys() - set(type_.__struct_encode_fields__)):
        name = min(unknown)
        raise UnknownParameter(f"Unrecognized request argument supplied: {name[:80]}", param=name[:80])
    try:
        return msgspec.convert(value, type_)
    except msgspec.ValidationError as error:
        raise refusal(error) from error


def query(request: Request[Any, Any, Any], type_: type[T]) -> T:
    """Raises InvalidRequest with the ``param`` at fault."""
    return fields(dict(request.query_params), type_)


def fields(said: Mapping[str, str], type_: type[T]) -> T:
    """Of a query or a form. Raises InvalidRequest with the ``param`` at fault."""
    try:
        return from_text(said, type_)
    except msgspec.ValidationError as error:
        raise refusal(error) from error


__all__ = ("convert", "fields", "query", "read")

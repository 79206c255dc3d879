"""Requests to create a model, checked before they go to the store."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from hyperllama.errors import InvalidRequest
from hyperllama_ollama import names, template, wire
from hyperllama_ollama.encode.text import quote
from hyperllama_ollama.errors import Failure

_TEXTS = ("model_family", "base_name", "quantization_level", "parameter_size")
_COUNTS = ("context_length", "embedding_length")


def checked(request: wire.CreateRequest) -> wire.CreateRequest:
    """Return ``request`` as the store takes it. Parses a template: call in a thread.

    Raise InvalidRequest with Ollama's sentence.
    """
    if len(request.adapters) > 1:
        raise InvalidRequest("only one adapter is currently supported", param="adapters")
    _check_info(request.info)
    base = names.reference(request.from_)
    if base.source == "local":
        request = msgspec.structs.replace(request, from_=base.text)
    if not request.template or template.is_jinja(request.template):
        return request
    try:
        template.parse(request.template)
    except (Failure, template.TooMuchWork) as error:
        raise InvalidRequest(f"template error: {error.message.removeprefix('template: ')}") from error
    return msgspec.structs.replace(request, template="", go_template=request.template)


def _check_info(info: Mapping[str, Any]) -> None:
    for field in _TEXTS:
        if not isinstance(info.get(field, ""), str):
            raise _wrong(field, "a string")
    for field in _COUNTS:
        count = info.get(field, 0)
        if isinstance(count, bool) or not isinstance(count, int | float):
            raise _wrong(field, "a number")
        if count < 0 or count != int(count):
            raise _wrong(field, "a non-negative integer")


def _wrong(field: str, what: str) -> InvalidRequest:
    return InvalidRequest(f"info field {quote(field)} must be {what}", param="info")


__all__ = ("checked",)

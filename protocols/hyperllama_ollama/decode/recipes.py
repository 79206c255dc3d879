"""Requests to create a model, checked before they go to the store."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hyperllama.errors import InvalidRequest
from hyperllama.spi import Recipe, RecipeMessage
from hyperllama_ollama import names, template, wire
from hyperllama_ollama.encode.text import quote
from hyperllama_ollama.errors import Failure

_TEXTS = ("model_family", "base_name", "quantization_level", "parameter_size")
_COUNTS = ("context_length", "embedding_length")


def recipe(request: wire.CreateRequest) -> Recipe:
    """Return what the store is to make. Parses a template: call in a thread.

    Raise InvalidRequest with Ollama's sentence.
    """
    if len(request.adapters) > 1:
        raise InvalidRequest("only one adapter is currently supported", param="adapters")
    _check_info(request.info)
    base = names.reference(request.from_)
    go_template = "" if template.is_jinja(request.template) else request.template
    if go_template:
        try:
            template.parse(go_template)
        except (Failure, template.TooMuchWork) as error:
            raise InvalidRequest(f"template error: {error.message.removeprefix('template: ')}") from error
    if request.remote_host:
        raise InvalidRequest("bad remote", param="remote_host")
    return Recipe(
        base=base.text if base.source == "local" else request.from_,
        files=request.files,
        adapters=request.adapters,
        draft_files=request.draft_files,
        template="" if go_template else request.template,
        license=request.license,
        system=request.system,
        parameters=request.parameters,
        messages=tuple(RecipeMessage(message.role, message.content) for message in request.messages),
        quantization=request.quantize or request.quantization,
        extra=_extra(request, go_template),
    )


def _extra(request: wire.CreateRequest, go_template: str) -> dict[str, Any]:
    """Return the fields that only this dialect knows, to be shown again."""
    fields = {
        "renderer": request.renderer,
        "parser": request.parser,
        "requires": request.requires,
        "info": request.info,
    }
    found: dict[str, Any] = {key: value for key, value in fields.items() if value}
    if request.template:
        found["template"] = go_template  # a Jinja one takes its place, too
    return found


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


__all__ = ("recipe",)

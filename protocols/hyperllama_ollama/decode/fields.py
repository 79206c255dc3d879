"""Fields that Ollama decodes and refuses in ways of their own: durations, think, format, messages, tools."""

from __future__ import annotations

import math
from typing import Any

from hyperllama.errors import InvalidRequest
from hyperllama.web import nests_deeper
from hyperllama_ollama import durations, wire
from hyperllama_ollama.decode.images import image
from hyperllama_ollama.decode.scan import Json
from hyperllama_ollama.decode.shape import (
    Fields,
    Walk,
    anything,
    integer,
    list_of,
    members,
    string,
)
from hyperllama_ollama.encode.text import quote

LEVELS = ("high", "medium", "low", "max")
FOREVER = 9_223_372_036  # seconds; Go's longest duration, and what "for ever" is turned into by Go clients

_LEGAL = '("high", "medium", "low", "max", true, or false)'
_PROPERTY = ("anyOf", "type", "items", "description", "enum", "properties", "required")


def keep_alive(_: Walk, value: Json) -> float:
    """Return seconds; ``inf`` means for ever."""
    if isinstance(value, bool | list | dict):
        kind = {bool: "bool", list: "[]interface {}", dict: "map[string]interface {}"}[type(value)]
        raise InvalidRequest(f"Unsupported type: '{kind}'", param="keep_alive")
    try:
        seconds = durations.keep_alive(value)
    except ValueError as error:
        raise InvalidRequest(str(error), param="keep_alive") from error
    except OverflowError:
        return math.inf
    return math.inf if seconds >= FOREVER else seconds


def think(_: Walk, value: Json) -> wire.Think:
    if isinstance(value, bool):
        return value
    if not isinstance(value, str):
        raise InvalidRequest(f"think must be a boolean or string {_LEGAL}", param="think")
    if value not in LEVELS:
        raise InvalidRequest(f"invalid think value: {quote(value)} (must be {_LEGAL[1:-1]})", param="think")
    return value  # type: ignore[return-value]  # one of the literals, as just checked


def message(walk: Walk, value: Json) -> wire.Message:
    """Decode a message by itself, as Ollama does: the first wrong type in it ends the reading."""
    inner = Walk(walk.struct, ordered=walk.ordered, counts=walk.counts)
    inner.path = list(walk.path)
    if not isinstance(value, dict):
        inner.mismatch(value, "api.Alias")
        inner.end()
    found = members(inner, value, _MESSAGE, f"api.{walk.struct}")
    inner.end()
    return wire.Message(**found)


def arguments(walk: Walk, value: Json) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise InvalidRequest("Value looks like object, but can't find closing '}' symbol", param="messages")
    found: dict[str, Any] = anything(walk, value)
    _check_depth(found, "messages")
    return found


def tool(walk: Walk, value: Json) -> wire.Tool:
    return wire.Tool(**members(walk, value, _TOOL, "api.Tool"))


def schema(walk: Walk, value: Json) -> Json:
    """Return ``format`` as a value of any type, within the depth limit; it is judged when the model runs."""
    found = anything(walk, value)
    _check_depth(found, "format")
    return found


def texts(walk: Walk, value: Json) -> tuple[str, ...] | None:
    """Return the texts in ``input`` of embed: one string or several; None: neither."""
    if isinstance(value, str):
        return (value,) if value else ()
    if not isinstance(value, list):
        return None
    walk.counts.add("inputs", len(value))
    return tuple(value) if all(isinstance(item, str) for item in value) else None


def _arguments_of_call(walk: Walk, value: Json) -> wire.ToolCallFunction:
    return wire.ToolCallFunction(**members(walk, value, _CALL_FUNCTION, f"api.{walk.struct}"))


def _call(walk: Walk, value: Json) -> wire.ToolCall:
    return wire.ToolCall(**members(walk, value, _CALL, f"api.{walk.struct}"))


def _function(walk: Walk, value: Json) -> wire.ToolFunction:
    return wire.ToolFunction(**members(walk, value, _FUNCTION, "api.ToolFunction"))


def _parameters(walk: Walk, value: Json) -> dict[str, Any]:
    """Return the few words of JSON Schema that Ollama knows; it drops the others."""
    if not isinstance(value, dict):
        walk.mismatch(value, "api.ToolFunctionParameters")
        return {}
    _check_depth(value, "tools")
    found = {key: value[key] for key in ("type", "$defs", "items", "required") if value.get(key) is not None}
    properties = value.get("properties")
    found["properties"] = _properties(walk, properties if properties is not None else {})
    return found


def _properties(walk: Walk, value: Json) -> dict[str, Any]:
    if not isinstance(value, dict):
        walk.mismatch(value, "map[string]api.ToolProperty")
        return {}
    return {name: _property(walk, item) for name, item in value.items() if item is not None}


def _property(walk: Walk, value: Json) -> dict[str, Any]:
    if not isinstance(value, dict):
        walk.mismatch(value, "api.ToolProperty")
        return {}
    found = {key: value[key] for key in _PROPERTY if value.get(key) is not None}
    if isinstance(found.get("properties"), dict):
        found["properties"] = _properties(walk, found["properties"])
    return found


def _check_depth(value: Json, field: str, limit: int = 100) -> None:
    """Raise InvalidRequest for nesting beyond ``limit``: template, grammar and encoders read it by recursion."""
    if nests_deeper(value, limit):
        raise InvalidRequest(f"{field} is nested more than {limit} levels deep", param=field)


_CALL_FUNCTION: Fields = {"index": integer, "name": string, "arguments": arguments}
_CALL: Fields = {"id": string, "function": _arguments_of_call}
_MESSAGE: Fields = {
    "role": lambda walk, value: string(walk, value).lower(),
    "content": string,
    "thinking": string,
    "images": list_of(image, "[]api.ImageData", zero=b"", counted="images"),
    "tool_calls": list_of(_call, "[]api.ToolCall", zero=wire.ToolCall(), counted="tool_calls"),
    "tool_name": string,
    "tool_call_id": string,
}
_FUNCTION: Fields = {"name": string, "description": string, "parameters": _parameters}
_TOOL: Fields = {"type": string, "function": _function}

__all__ = ("LEVELS", "arguments", "keep_alive", "message", "schema", "texts", "think", "tool")

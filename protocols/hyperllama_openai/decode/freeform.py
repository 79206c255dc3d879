"""Custom tools: their input is free text, for the model a function with one string."""

from __future__ import annotations

from typing import Any

import msgspec

from hyperllama_openai.decode.toolbox import Offered, joint, spec
from hyperllama_openai.errors import InvalidValue
from hyperllama_openai.wire import limits

_SYNTAXES = ("lark", "regex")


def custom(
    name: str, *, description: str | None, format: dict[str, Any] | None, namespace: str | None, param: str
) -> Offered:
    """Return a custom tool. A grammar becomes part of its description: inside a JSON string none can be enforced."""
    wanted = _wanted(format, f"{param}.format")
    words = [word for word in (description, wanted) if word]
    parameters: dict[str, Any] = {
        "type": "object",
        "properties": {"input": {"type": "string", "description": "The input of the tool, as it is."}},
        "required": ["input"],
        "additionalProperties": False,
    }
    made = spec(
        joint(namespace, name), description="\n\n".join(words), parameters=parameters, strict=False, param=param
    )
    return Offered(spec=made, kind="custom", name=name, namespace=namespace)


def arguments(text: str | None) -> str:
    """Return the arguments of a custom tool's call in a history."""
    return msgspec.json.encode({"input": text or ""}).decode()


def _wanted(format: dict[str, Any] | None, param: str) -> str:
    """Return the sentence about the format of the input; chat nests a grammar, Responses does not."""
    kind = (format or {}).get("type", "text")
    if kind == "text":
        return ""
    inner = (format or {}).get("grammar", format)
    if kind != "grammar" or not isinstance(inner, dict):
        raise InvalidValue(f"Invalid value for '{param}.type': expected 'text' or 'grammar'.", param=f"{param}.type")
    syntax, definition = inner.get("syntax"), inner.get("definition")
    if syntax not in _SYNTAXES or not isinstance(definition, str):
        raise InvalidValue(
            f"Invalid value for '{param}': a grammar has a 'definition' and a 'syntax', 'lark' or 'regex'.", param=param
        )
    if len(definition.encode()) > limits.MAX_SCHEMA_BYTES:
        raise InvalidValue(f"'{param}.definition' is over {limits.MAX_SCHEMA_BYTES // 1024} KiB.", param=param)
    noun = "this grammar, in Lark's notation" if syntax == "lark" else "this regular expression"
    return f"The input must match {noun}:\n{definition}"


__all__ = ("arguments", "custom")

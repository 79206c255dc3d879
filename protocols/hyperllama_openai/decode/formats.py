"""The format of the answer: OpenAI's ``response_format``, and other servers' names for the same."""

from __future__ import annotations

from typing import Any

import msgspec

from hyperllama.errors import UnsupportedFeature
from hyperllama.generation import AnyJson, Choice, Grammar, JsonSchema, OutputFormat, Regex
from hyperllama_openai.decode.inner import inner_object
from hyperllama_openai.errors import InvalidSchema, InvalidValue, MissingParameter
from hyperllama_openai.wire import limits
from hyperllama_openai.wire.shared import ResponseFormat, SamplingFields, StructuredOutputs

_MAX_OPTIONS = 1024


def output(request: SamplingFields) -> OutputFormat | None:
    """Return the requested format; None if there is none. Raise InvalidValue for more than one."""
    found = [
        (name, asked)
        for name, asked in (
            ("response_format", _response_format(request.response_format)),
            *_structured(request.structured_outputs),
            ("guided_json", schema(request.guided_json, "guided_json")),
            ("guided_regex", _regex(request.guided_regex, "guided_regex")),
            ("guided_choice", _choice(request.guided_choice, "guided_choice")),
            ("guided_grammar", _grammar(request.guided_grammar, "guided_grammar")),
            ("regex", _regex(request.regex, "regex")),
            ("ebnf", _grammar(request.ebnf, "ebnf")),
            ("json_schema", schema(request.json_schema, "json_schema")),
            ("grammar", _grammar(request.grammar, "grammar")),
        )
        if asked is not None
    ]
    if len(found) > 1:
        names = " and ".join(f"'{name}'" for name, _ in found[:2])
        raise InvalidValue(f"Only one output format can be asked for, not {names}.", param=found[1][0])
    return found[0][1] if found else None


def schema(value: str | dict[str, Any] | bool | None, param: str, *, strict: bool | None = None) -> OutputFormat | None:
    """Return the format of a JSON Schema, given as such or as JSON text; one that allows everything is AnyJson."""
    if value is None:
        return None
    if isinstance(value, str):
        if len(value.encode()) > limits.MAX_SCHEMA_BYTES:
            raise _too_large(param)
        try:
            value = inner_object(value)
        except ValueError as error:
            raise InvalidSchema(f"Invalid schema in '{param}': it is {error}.", param=param) from error
    if value is False:
        raise InvalidSchema(f"Invalid schema in '{param}': it allows no value at all.", param=param)
    if value is True or not value:
        return AnyJson()
    if len(msgspec.json.encode(value)) > limits.MAX_SCHEMA_BYTES:
        raise _too_large(param)
    return JsonSchema(value, strict=bool(strict))


def _response_format(format: ResponseFormat | None) -> OutputFormat | None:
    if format is None:
        return None
    match format.type:
        case "text":
            return None
        case "json_object":
            return schema(format.schema, "response_format.schema") or AnyJson()
        case "json_schema":
            if format.json_schema is None and format.schema is None:
                raise MissingParameter(
                    "Missing required parameter: 'response_format.json_schema'.", param="response_format.json_schema"
                )
            inner = format.schema if format.json_schema is None else format.json_schema.schema
            strict = format.strict if format.json_schema is None else format.json_schema.strict
            return schema(inner, "response_format.json_schema.schema", strict=strict) or AnyJson()
        case "structural_tag":
            raise UnsupportedFeature(
                "Invalid value for 'response_format.type': 'structural_tag' is not supported.",
                param="response_format.type",
            )
        case _:
            raise InvalidValue(
                "Invalid value for 'response_format.type': expected 'text', 'json_object' or 'json_schema'.",
                param="response_format.type",
            )


def _structured(outputs: StructuredOutputs | None) -> tuple[tuple[str, OutputFormat | None], ...]:
    if outputs is None:
        return ()
    if outputs.structural_tag is not None:
        raise UnsupportedFeature("'structured_outputs.structural_tag' is not supported.", param="structured_outputs")
    return (
        ("structured_outputs.json", schema(outputs.json, "structured_outputs.json")),
        ("structured_outputs.json_object", AnyJson() if outputs.json_object else None),
        ("structured_outputs.regex", _regex(outputs.regex, "structured_outputs.regex")),
        ("structured_outputs.choice", _choice(outputs.choice, "structured_outputs.choice")),
        ("structured_outputs.grammar", _grammar(outputs.grammar, "structured_outputs.grammar")),
    )


def _regex(pattern: str | None, param: str) -> Regex | None:
    if not pattern:
        return None
    if len(pattern.encode()) > limits.MAX_PATTERN_BYTES:
        raise InvalidValue(f"'{param}' is over {limits.MAX_PATTERN_BYTES} bytes.", param=param)
    return Regex(pattern)


def _choice(options: list[str] | None, param: str) -> Choice | None:
    if options is None:
        return None
    if not 1 <= len(options) <= _MAX_OPTIONS:
        raise InvalidValue(f"'{param}' takes 1 to {_MAX_OPTIONS} strings.", param=param)
    if sum(len(option.encode()) for option in options) > limits.MAX_SCHEMA_BYTES:
        raise _too_large(param)
    return Choice(tuple(options))


def _grammar(text: str | None, param: str) -> Grammar | None:
    if not text:
        return None
    if len(text.encode()) > limits.MAX_SCHEMA_BYTES:
        raise _too_large(param)
    return Grammar(text)


def _too_large(param: str) -> InvalidSchema:
    return InvalidSchema(f"'{param}' is over {limits.MAX_SCHEMA_BYTES // 1024} KiB.", param=param)


__all__ = ("output", "schema")

"""Our errors in OpenAI's envelope, with its codes for the faults of a request."""

from __future__ import annotations

import math
from typing import ClassVar

import msgspec

from hyperllama.errors import (
    ContextTooLong,
    EngineTimeout,
    Forbidden,
    GatewayError,
    InvalidRequest,
    MethodNotAllowed,
    ModelNotFound,
    NotFound,
    PayloadTooLarge,
    RouteNotFound,
    SchemaRefused,
    Unauthenticated,
    UnsupportedFeature,
)
from hyperllama.spi import BatchEnded, ErrorReply, FileInUse, UnknownBatch, UnknownFile, UnusableInput
from hyperllama.web import Violation
from hyperllama_openai.wire.errors import ErrorBody, ErrorEnvelope

_JSON = msgspec.json.Encoder()
_RESPONSES = ("/responses", "/responses/compact", "/responses/input_tokens")  # the ends of their paths


class MissingParameter(InvalidRequest):
    """A field the request cannot do without."""

    code = "missing_required_parameter"


class InvalidType(InvalidRequest):
    """A field of another JSON type than it must have."""

    code = "invalid_type"


class InvalidValue(InvalidRequest):
    """A field of the right type, out of its range or set."""

    code = "invalid_value"


class UnknownParameter(InvalidRequest):
    """An unknown field, with ``strict = true``."""

    code = "unknown_parameter"


class InvalidImage(InvalidRequest):
    code = "invalid_image_url"


class InvalidEncryptedContent(InvalidRequest):
    """An opaque text of ours that was changed, or that another caller got."""

    code = "invalid_encrypted_content"


class InvalidSchema(InvalidRequest):
    code = "invalid_json_schema"


class ResponseNotFound(NotFound):
    """A response id under which the caller has nothing stored."""

    code: ClassVar[str] = "response_not_found"


class ItemNotFound(NotFound):
    """An item id under which the caller has nothing stored."""

    def __init__(self, id: str) -> None:
        """Take the id as the client wrote it."""
        super().__init__(
            f"Item with id '{id[:80]}' not found. Items are not persisted when `store` is set to false. Try again with "
            "`store` set to true, or remove this item from your input.",
            param="input",
        )


class PreviousResponseNotFound(InvalidRequest):
    """A previous response that is not stored; clients that see this code send the whole conversation."""

    code: ClassVar[str] = "previous_response_not_found"


class BodyRefusals:
    """``hyperllama.web.BodyErrors``: the field's name as clients write it, in the sentence and as ``param``."""

    def invalid(self, violation: Violation) -> InvalidRequest:
        """Return MissingParameter, InvalidType or InvalidValue."""
        path, text = violation.path.replace("[...]", ""), violation.reason  # any member of an object: the object
        if violation.missing:
            return MissingParameter(f"Missing required parameter: '{path}'.", param=path)
        if not path and text.startswith("Expected `object`, got "):
            return InvalidType("The request body must be a JSON object.")
        kind = InvalidType if ", got " in text and not text.startswith("Expected `array` of length") else InvalidValue
        reason = text[0].lower() + text[1:]
        if not path:
            return kind(f"Invalid request body: {reason}.")
        return kind(f"Invalid value for '{path}': {reason}.", param=path)

    def unknown(self, field: str) -> InvalidRequest:
        """Return UnknownParameter."""
        return UnknownParameter(f"Unrecognized request argument supplied: {field}", param=field)

    def too_many(self, field: str, reason: str) -> InvalidRequest:
        """Return InvalidValue."""
        return InvalidValue(f"'{field}' {reason}.", param=field)


def envelope(error: GatewayError, *, param: str | None = None, path: str = "") -> ErrorEnvelope:
    """Return the envelope. ``param`` is the field that holds the route's input, for errors about its length."""
    return ErrorEnvelope(
        error=ErrorBody(
            message=_message(error, path),
            type=_type(error),
            param=_param(error, param, path),
            code=_code(error),
        )
    )


def reply(error: GatewayError, *, param: str | None = None, path: str = "") -> ErrorReply:
    headers: dict[str, str] = {}
    if error.retry_seconds is not None:
        headers["retry-after"] = str(error.retry_seconds)
    if error.retry_after is not None:
        headers["retry-after-ms"] = str(max(1, math.ceil(error.retry_after * 1000)))
    if error.code == "insufficient_quota":
        headers["x-should-retry"] = "false"
    if isinstance(error, MethodNotAllowed):
        headers["allow"] = ", ".join(error.allow)
    return ErrorReply(
        status=error.status,
        body=_JSON.encode(envelope(error, param=param, path=path)),
        media_type="application/json",
        headers=headers,
    )


# What engines call the output format that they cannot enforce.
_FORMATS = frozenset({"output", "response_format", "guided_regex", "guided_choice", "guided_grammar"})

_CODES: tuple[tuple[type[GatewayError], str | None], ...] = (
    (RouteNotFound, None),
    (ItemNotFound, None),
    (MethodNotAllowed, "method_not_supported"),
    (PayloadTooLarge, "request_too_large"),
    (Forbidden, "insufficient_permissions"),
    (UnsupportedFeature, "unsupported_parameter"),
)


_PARAMS: tuple[tuple[type[GatewayError], str], ...] = (
    (ModelNotFound, "model"),
    (UnknownFile, "id"),
    (UnknownBatch, "batch_id"),
    (UnusableInput, "input_file_id"),
    (FileInUse, "file_id"),
)


def _code(error: GatewayError) -> str | None:
    for kind, code in _CODES:
        if isinstance(error, kind):
            return code
    if isinstance(error, SchemaRefused) and error.param not in _FORMATS:
        return "invalid_function_parameters"
    if error.code == "invalid_request":
        return InvalidSchema.code if error.param in _FORMATS else None
    return error.code


def _type(error: GatewayError) -> str:
    if error.code == "insufficient_quota":
        return "insufficient_quota"
    if isinstance(error, Unauthenticated):
        return "invalid_request_error"  # what OpenAI itself says, with code invalid_api_key
    if isinstance(error, EngineTimeout):
        return "timeout"
    match error.status:
        case 403:
            return "permission_error"
        case 429:
            return "rate_limit_error"
        case status if status >= 500:
            return "server_error"
    return "invalid_request_error"


def _param(error: GatewayError, input_field: str | None, path: str) -> str | None:
    for kind, param in _PARAMS:
        if isinstance(error, kind):
            return param
    if error.param == "input" or isinstance(error, ContextTooLong):  # whatever the engine calls it
        return input_field
    responses = _of_responses(path)
    if error.param in _FORMATS and responses:
        return _format(path)
    if error.param == "messages" and responses:
        return "input"
    return "response_format" if error.param == "output" else error.param


def _of_responses(path: str) -> bool:
    return path.rstrip("/").endswith(_RESPONSES)


def _format(path: str) -> str:
    """Return the name of the output format in a route's requests."""
    return "text.format" if _of_responses(path) else "response_format"


def _stored(error: GatewayError) -> str | None:
    """Return OpenAI's sentence about a file or a batch; None for other errors."""
    match error:
        case UnknownFile():
            return f"No such File object: {error.id[:80]}"
        case UnknownBatch():
            return f"No batch found with id '{error.id[:80]}'."
        case UnusableInput():
            if error.missing:
                return f"There is no file '{error.id[:80]}'."
            return "The file was not uploaded with purpose 'batch'."
        case FileInUse():
            return "A batch is being made from this file; cancel it first."
        case BatchEnded():
            return f"Cannot cancel a batch with status '{error.batch_status}'."
    return None


def _message(error: GatewayError, path: str) -> str:
    """Return the message, with the phrases by which clients recognise an overflow.

    LiteLLM looks for the first, LangChain for the second or the third.
    """
    if isinstance(error, RouteNotFound):
        return f"Invalid URL ({path[:200]})"
    message = _stored(error) or error.message or "Internal error."
    if isinstance(error, SchemaRefused) and error.param in _FORMATS:
        message = message.replace("The output format", _format(path), 1)
    if not isinstance(error, ContextTooLong):
        return message
    if "this model's maximum context length is" not in message.lower():
        message = f"This model's maximum context length is exceeded. {message}"
    if "prompt is too long" not in message.lower():
        message = f"{message.rstrip('. ')}. Your prompt is too long; please reduce it."
    return message if "context_length_exceeded" in message else f"{message} (context_length_exceeded)"


__all__ = (
    "BodyRefusals",
    "InvalidEncryptedContent",
    "InvalidImage",
    "InvalidSchema",
    "InvalidType",
    "InvalidValue",
    "ItemNotFound",
    "MissingParameter",
    "PreviousResponseNotFound",
    "ResponseNotFound",
    "UnknownParameter",
    "envelope",
    "reply",
)

"""Ollama's refusals: an ``{"error": "..."}`` object with the status Ollama gives; the router's two are plain text."""

from __future__ import annotations

from collections.abc import Mapping

from hyperllama.errors import (
    ContextTooLong,
    EngineFailed,
    EngineTimeout,
    Forbidden,
    GatewayError,
    LoadFailed,
    MethodNotAllowed,
    ModelNotFound,
    Overloaded,
    RouteNotFound,
    Unauthenticated,
)
from hyperllama.spi import ErrorReply, NotOnHub, Reason, Refused, Transfer, TransferFailed, WrongContent
from hyperllama_ollama.encode.text import dumps
from hyperllama_ollama.names import of_cloud
from hyperllama_ollama.wire import ErrorText

#: What almost every answer says it is.
JSON = "application/json; charset=utf-8"
#: Errors that take the place of a stream, and the whole answers of pull, push and create.
BARE_JSON = "application/json"

BUSY = "server busy, please try again.  maximum pending requests exceeded"
TOO_LONG = (
    "the prompt is longer than the context length currently available to the model; shorten the prompt, adjust the "
    "context length in settings, or use a model with a longer context length"
)
MISSING = "pull model manifest: file does not exist"
_TRANSFERS: Mapping[Transfer, str] = {
    "pull": "pull model",
    "pull_manifest": "pull model manifest",
    "push": "push model",
}
_REFUSALS: Mapping[Reason, str] = {
    "model_name": "invalid model name",
    "digest_format": "invalid digest format",
    "digest_mismatch": 'digest mismatch, expected "{}", got "{}"',
    "no_source": "neither 'from' or 'files' was specified",
    "no_weights": "no files provided to convert",
    "file_type": "unknown type",
    "file_name": "file path must be relative, and a plain file name: {}",
    "not_gguf": "supplied file was not in GGUF format",
    "quantization": "unsupported quantization type {} - supported types are {}",
    "quantize_format": "quantization is only supported for GGUF files",
    "quantize_source": "quantization is only supported for F16 and F32 models",
}
_METHODS = ("HEAD", "GET", "POST", "DELETE")


class PromptTooLong(ContextTooLong):
    """A prompt that is too long; the message is Ollama's."""


class Failure(GatewayError):
    """An error that Ollama answers with 500 where others would blame the client."""

    code = "invalid_request"


class NotImplementedHere(GatewayError):
    """A request that needs a part with which the gateway was not set up."""

    status = 501
    code = "not_implemented"


class NotSignedIn(Unauthenticated):
    """A request that needs an account at ollama.com, which this server does not have."""

    code = "not_signed_in"


class CloudDisabled(Forbidden):
    """A request that only ollama.com could serve."""

    code = "cloud_disabled"


def cloud_disabled(what: str) -> CloudDisabled:
    """Return the refusal of ``what``, a clause in Ollama's words."""
    return CloudDisabled(f"ollama cloud is disabled: {what}")


def reply(error: GatewayError, media_type: str = JSON) -> ErrorReply:
    """Return the reply for ``error`` before the first byte of an answer."""
    match error:
        case RouteNotFound():
            return _text(404, b"404 page not found")
        case MethodNotAllowed():
            allow = [method for method in _METHODS if method in error.allow]
            return _text(405, b"405 method not allowed", {"allow": ", ".join(allow)} if allow else {})
    headers: dict[str, str] = {}
    if error.retry_seconds is not None:
        headers["retry-after"] = str(error.retry_seconds)
    return ErrorReply(status(error), body(error), media_type, headers)


def override(error: GatewayError, path: str) -> ErrorReply | None:
    """Return the answer to a name of ollama.com, which Ollama words alike on its own paths and on OpenAI's."""
    if not isinstance(error, ModelNotFound) or of_cloud(error.model) is None:
        return None
    details = "remote model details are unavailable" if "/models/" in path else "remote model is unavailable"
    return reply(cloud_disabled(details))


def body(error: GatewayError) -> bytes:
    return dumps(ErrorText(text(error)))


def line(error: GatewayError) -> bytes:
    """Return ``error`` as the last line of a stream that has begun."""
    return body(error) + b"\n"


def status(error: GatewayError) -> int:
    return 500 if isinstance(error, EngineFailed | EngineTimeout) else error.status


def text(error: GatewayError) -> str:
    """Return the message, never empty: a client of a stream would take an empty error for success."""
    match error:
        case EngineFailed():
            return f"an error was encountered while running the model: {error.message}"
        case LoadFailed() if "failed to load model" not in error.message:
            return f"failed to load model: {error.message}"
        case Overloaded():
            return BUSY
        case NotOnHub():
            return MISSING
        case TransferFailed(transfer=transfer):
            return f"{_TRANSFERS[transfer]}: {error.message}"
        case WrongContent():
            mismatch = _REFUSALS["digest_mismatch"].format(error.expected, error.found)
            return f"{mismatch}; {error.filename} must be downloaded again"
        case Refused(reason=reason):
            return _REFUSALS[reason].format(*error.details)
    return error.message or error.code


def _text(status: int, body: bytes, headers: dict[str, str] | None = None) -> ErrorReply:
    # Said in the headers too, for a charset would be added to a text type otherwise.
    return ErrorReply(status, body, "text/plain", {"content-type": "text/plain", **(headers or {})})


__all__ = (
    "BARE_JSON",
    "BUSY",
    "JSON",
    "MISSING",
    "TOO_LONG",
    "CloudDisabled",
    "Failure",
    "NotImplementedHere",
    "NotSignedIn",
    "PromptTooLong",
    "body",
    "cloud_disabled",
    "line",
    "override",
    "reply",
    "status",
    "text",
)

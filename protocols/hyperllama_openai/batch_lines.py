"""The lines of a batch: its input, its output and its errors."""

from __future__ import annotations

import msgspec

from hyperllama.config import BodyLimits
from hyperllama.errors import InvalidRequest
from hyperllama.generation import Usage
from hyperllama.spi import BatchAnswer, BatchError, BatchFault, BatchLine, BatchResult
from hyperllama.web import parse_json
from hyperllama_openai import ids
from hyperllama_openai.encode import sse
from hyperllama_openai.errors import InvalidType, InvalidValue, MissingParameter
from hyperllama_openai.wire.files import LineError, LineResponse, LineResult

ENDPOINTS = ("/v1/chat/completions", "/v1/completions", "/v1/embeddings", "/v1/responses")
LONGEST_ID = 512


class InvalidLine(InvalidRequest):
    """A line that is no JSON object."""

    code = "invalid_json_line"


class InvalidMethod(InvalidRequest):
    code = "invalid_method"


class InvalidUrl(InvalidRequest):
    """A line for another endpoint than the batch's."""

    code = "invalid_url"


class _Details(msgspec.Struct, frozen=True):
    cached_tokens: int = 0
    reasoning_tokens: int = 0


class _Usage(msgspec.Struct, frozen=True):
    """The usage in an answer: that of chats and completions, of embeddings, or of responses."""

    prompt_tokens: int = 0
    completion_tokens: int = 0
    prompt_tokens_details: _Details | None = None
    completion_tokens_details: _Details | None = None
    input_tokens: int = 0
    output_tokens: int = 0
    input_tokens_details: _Details | None = None
    output_tokens_details: _Details | None = None


class _Answered(msgspec.Struct, frozen=True):
    usage: _Usage | None = None


_ANSWER = msgspec.json.Decoder(_Answered)
_NOTHING = _Details()


def line(raw: bytes, endpoint: str, *, limits: BodyLimits | None = None) -> BatchLine:
    """Return the line, within ``limits``, which is ``[body]``. Raise InvalidRequest with its fault."""
    try:
        value = parse_json(raw, BodyLimits() if limits is None else limits)
    except InvalidRequest as error:
        raise InvalidLine(f"This line is not valid JSON: {error.message}") from error
    if not isinstance(value, dict):
        raise InvalidLine("This line is not a JSON object.")
    own = value.get("custom_id")
    if not isinstance(own, str) or not 0 < len(own) <= LONGEST_ID:
        raise MissingParameter(f"Every line needs a 'custom_id' of 1 to {LONGEST_ID} characters.", param="custom_id")
    if value.get("method") != "POST":
        raise InvalidMethod("The 'method' of a line must be 'POST'.", param="method")
    if value.get("url") != endpoint:
        raise InvalidUrl(f"The 'url' of a line must be the batch's endpoint, '{endpoint}'.", param="url")
    body = value.get("body")
    if not isinstance(body, dict):
        raise InvalidType("The 'body' of a line must be a JSON object.", param="body")
    model = body.get("model")
    if not isinstance(model, str) or not model:
        raise MissingParameter("Missing required parameter: 'body.model'.", param="body.model")
    for field in ("stream", "background"):
        if body.get(field):
            raise InvalidValue(f"A batch cannot have '{field}'.", param=f"body.{field}")
    return BatchLine(own, model, sse.JSON.encode(body))


def result(line: BatchLine, answer: BatchAnswer) -> BatchResult:
    """Return the output line. An HTTP error is its response; its ``error`` is for lines that had no answer."""
    try:
        usage = _ANSWER.decode(answer.body).usage
        body = msgspec.Raw(answer.body)
    except msgspec.DecodeError:
        usage, body = None, msgspec.Raw(sse.JSON.encode({"error": answer.body.decode("utf-8", "replace")}))
    response = LineResponse(status_code=answer.status, request_id=answer.request_id, body=body)
    written = LineResult(id=ids.new("batch_req_"), custom_id=line.id, response=response, error=None)
    return BatchResult(answer.status >= 400, sse.JSON.encode(written), _used(usage))


def unrun(line: BatchLine) -> BatchResult:
    error = LineError(
        code="batch_expired",
        message="This request could not be executed before the completion window expired.",
    )
    written = LineResult(id=ids.new("batch_req_"), custom_id=line.id, response=None, error=error)
    return BatchResult(True, sse.JSON.encode(written), unrun=True)


def fault(fault: BatchFault) -> BatchError:
    """Return OpenAI's code and sentence for the fault of a whole batch."""
    code: str = fault.kind
    text, param = "", None
    match fault.kind:
        case "line_too_long":
            text = f"The line is longer than the {fault.limit} bytes that it may have."
        case "duplicate_id":
            code, param = "duplicate_custom_id", "custom_id"
            text = f"The custom_id '{fault.id[:80]}' is used more than once in this file."
        case "too_many_lines":
            code, text = "too_many_requests", f"The file has more than {fault.limit} requests."
        case "no_lines":
            code, text = "empty_file", "The file holds no requests."
        case "file_gone":
            code, text = "file_not_found", "The file's content is kept by another gateway, or is gone."
        case "key_gone":
            code, text = "invalid_api_key", "The key that asked for this batch is no longer valid."
        case "broken":
            code = "internal_error"
            text = "The batch could not be processed; its requests stopped the gateway's work on it several times."
    return BatchError(code=code, message=text, line=fault.line, param=param)


def _used(usage: _Usage | None) -> Usage:
    if usage is None:
        return Usage()
    given = usage.prompt_tokens_details or usage.input_tokens_details or _NOTHING
    made = usage.completion_tokens_details or usage.output_tokens_details or _NOTHING
    return Usage(
        prompt_tokens=usage.prompt_tokens or usage.input_tokens,
        completion_tokens=usage.completion_tokens or usage.output_tokens,
        cached_tokens=given.cached_tokens,
        reasoning_tokens=made.reasoning_tokens,
    )


__all__ = ("ENDPOINTS", "fault", "line", "result", "unrun")

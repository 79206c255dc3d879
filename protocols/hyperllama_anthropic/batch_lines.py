"""The lines of a batch: the requests as they are kept, and their results as clients read them."""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator, AsyncIterator

import msgspec

from hyperllama.errors import GatewayError, InvalidRequest
from hyperllama.generation import Usage
from hyperllama.spi import BatchAnswer, BatchError, BatchFault, BatchLine, BatchResult
from hyperllama_anthropic import batch_wire as wire
from hyperllama_anthropic import errors
from hyperllama_anthropic.wire import ErrorBody, ErrorEnvelope

ENDPOINT = "/v1/messages"

_JSON = msgspec.json.Encoder()
_ID = re.compile(wire.ID_PATTERN)
_HEAD = 128  # bytes of a line that hold its id
_BEGIN = re.compile(rb'\{"custom_id":"([^"]{1,64})"')
_STREAMED = InvalidRequest("stream: a request of a batch cannot be streamed", param="stream")


class _Kept(msgspec.Struct, frozen=True):
    custom_id: str
    params: msgspec.Raw


class _Seen(msgspec.Struct, frozen=True):
    model: object = None
    stream: object = None


class _Usage(msgspec.Struct, frozen=True):
    input_tokens: int = 0
    cache_creation_input_tokens: int | None = None
    cache_read_input_tokens: int | None = None
    output_tokens: int = 0


class _Answered(msgspec.Struct, frozen=True):
    usage: _Usage | None = None


_KEPT = msgspec.json.Decoder(_Kept)
_SEEN = msgspec.json.Decoder(_Seen)
_ANSWER = msgspec.json.Decoder(_Answered)


def lines(request: wire.BatchRequest, *, max_lines: int, max_line_bytes: int) -> bytes:
    """Return the requests as the lines of a file. Raise InvalidRequest for ids that are not allowed, or too much."""
    if len(request.requests) > max_lines:
        raise errors.invalid("requests", f"at most {max_lines} requests are allowed in a batch")
    seen: set[str] = set()
    kept = bytearray()
    for index, item in enumerate(request.requests):
        param = f"requests.{index}.custom_id"
        if not _ID.fullmatch(item.custom_id):
            raise errors.invalid(param, f"String should match pattern '{wire.ID_PATTERN}'")
        if item.custom_id in seen:
            raise errors.invalid(param, f"'{item.custom_id}' is used more than once; ids are unique within a batch")
        seen.add(item.custom_id)
        line = _JSON.encode(item)
        if len(line) >= max_line_bytes:
            raise errors.invalid(f"requests.{index}", f"longer than the {max_line_bytes} bytes that a request may have")
        kept += line + b"\n"
    return bytes(kept)


def line(raw: bytes) -> BatchLine:
    """Return a line that :func:`lines` made. One that asks for a stream is answered with its refusal."""
    kept = _KEPT.decode(raw)
    body = bytes(kept.params)
    seen = _SEEN.decode(body)
    refused = BatchAnswer(_STREAMED.status, "", _body(_STREAMED)) if seen.stream else None
    return BatchLine(kept.custom_id, seen.model if isinstance(seen.model, str) else "", body, refused)


def result(line: BatchLine, answer: BatchAnswer) -> BatchResult:
    """Return the line of an answer: a message, or the error that its request would have got."""
    try:
        usage = _ANSWER.decode(answer.body).usage
        body = msgspec.Raw(answer.body)
    except msgspec.DecodeError:
        usage, body = None, msgspec.Raw(_body(GatewayError(answer.body.decode("utf-8", "replace"))))
    if answer.status < 400:
        return BatchResult(False, _written(line.id, wire.Succeeded(message=body)), _used(usage))
    return BatchResult(True, _written(line.id, wire.Errored(error=body)))


def unrun(line: BatchLine) -> BatchResult:
    return BatchResult(True, _written(line.id, wire.Expired()), unrun=True)


def cancelled(line: BatchLine) -> BatchResult:
    return BatchResult(True, _written(line.id, wire.Canceled()), unrun=True)


def fault(fault: BatchFault) -> BatchError:
    """Return the sentence for the fault of a whole batch, which every request of it ends with."""
    match fault.kind:
        case "key_gone":
            code, text = "authentication_error", "The key that created this batch is no longer valid."
        case "file_gone":
            code, text = "api_error", "The requests of this batch are kept by another gateway, or are gone."
        case "broken":
            code = "api_error"
            text = "The batch could not be processed; its requests stopped the gateway's work on it several times."
        case "too_many_lines" | "line_too_long":
            code, text = "invalid_request_error", f"The batch holds more than the {fault.limit} that are allowed."
        case _:
            code, text = "invalid_request_error", "The requests of this batch cannot be read."
    return BatchError(code=code, message=text, line=fault.line)


async def failed(pieces: AsyncIterator[bytes], error: BatchError | None) -> AsyncGenerator[bytes, None]:
    """Yield the results of a batch that failed as a whole, whose lines ``pieces`` are: each with the batch's error."""
    code, message = ("api_error", "Internal server error") if error is None else (error.code, error.message)
    body = msgspec.Raw(_JSON.encode(ErrorEnvelope(error=ErrorBody(type=code, message=message))))
    head = b""  # of the line that the next piece goes on with
    async for piece in pieces:
        heads = [begun[:_HEAD] for begun in piece.split(b"\n")]
        heads[0] = (head + heads[0])[:_HEAD]
        head = heads.pop()
        ids = (found.group(1).decode() for begun in heads if (found := _BEGIN.match(begun)))
        yield b"".join(_written(own, wire.Errored(error=body)) + b"\n" for own in ids)


def _body(error: GatewayError) -> bytes:
    return _JSON.encode(errors.envelope(error))


def _written(custom_id: str, result: wire.Succeeded | wire.Errored | wire.Canceled | wire.Expired) -> bytes:
    return _JSON.encode(wire.Result(custom_id=custom_id, result=result))


def _used(usage: _Usage | None) -> Usage:
    """Return the usage; ``input_tokens`` of a message leaves out those from the cache."""
    if usage is None:
        return Usage()
    cached = usage.cache_read_input_tokens or 0
    given = usage.input_tokens + cached + (usage.cache_creation_input_tokens or 0)
    return Usage(prompt_tokens=given, completion_tokens=usage.output_tokens, cached_tokens=cached)


__all__ = ("ENDPOINT", "cancelled", "failed", "fault", "line", "lines", "result", "unrun")

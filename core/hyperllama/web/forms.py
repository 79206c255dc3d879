"""Form uploads: the file goes on piece by piece, never gathered, and the fields beside it are few and small."""

from __future__ import annotations

from typing import Any

import msgspec
from litestar import Request
from multipart import MultipartError, MultipartSegment, PushMultipartParser, parse_options_header

from hyperllama.errors import InvalidRequest
from hyperllama.spi import FileSink

FIELDS = 16
FIELD_BYTES = 4096


class Form(msgspec.Struct, frozen=True):
    """The fields beside the file. ``filename`` None: there was no file."""

    fields: dict[str, str]
    filename: str | None


async def read_form(request: Request[Any, Any, Any], file: str, sink: FileSink) -> Form:
    """Read the body to its end; the part named ``file`` goes to ``sink``. Raises InvalidRequest."""
    kind, options = parse_options_header(request.headers.get("content-type", ""))
    if kind != "multipart/form-data" or not options.get("boundary"):
        raise InvalidRequest("Send the file as multipart/form-data.")
    fields: dict[str, str] = {}
    filename: str | None = None
    part: MultipartSegment | None = None
    value = bytearray()
    try:
        with PushMultipartParser(options["boundary"], max_segment_count=FIELDS) as parser:
            async for chunk in request.stream():
                if not chunk or parser.closed:
                    continue
                for event in parser.parse(chunk):
                    match event:
                        case MultipartSegment():
                            part = event
                            if part.name == file:
                                if filename is not None:
                                    raise InvalidRequest(f"Send one {file}, not several.", param=file)
                                filename = part.filename or "file"
                        case None:
                            if part is not None and part.name != file:
                                fields[part.name] = value.decode("utf-8", "replace")
                            value.clear()
                        case piece if part is not None and part.name == file:
                            await sink.write(bytes(piece))
                        case piece:
                            value += piece
                            if len(value) > FIELD_BYTES:
                                raise InvalidRequest("A field of the form is too long.")
    except MultipartError as error:
        raise InvalidRequest("The body is not valid multipart/form-data.") from error
    return Form(fields, filename)


__all__ = ("Form", "read_form")

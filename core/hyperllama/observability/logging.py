"""Logs, and what the process tells about its own requests. No prompt and no secret is ever a field."""

from __future__ import annotations

import logging
import sys
from contextvars import ContextVar

import msgspec
import structlog
from structlog.typing import EventDict, WrappedLogger

from hyperllama.config import Logs
from hyperllama.spi import Call

FIELD = 1024  # characters of one logged value

_LEVELS = {"debug": logging.DEBUG, "info": logging.INFO, "warning": logging.WARNING, "error": logging.ERROR}


def configure(logs: Logs) -> None:
    """Route structlog and the standard library's loggers to standard error: text on a terminal, else JSON lines."""
    console = logs.format == "console" or (logs.format == "auto" and sys.stderr.isatty())
    level = _LEVELS[logs.level]
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="%H:%M:%S" if console else "iso", utc=not console),
        structlog.processors.StackInfoRenderer(),
        _bounded,
    ]
    renderer: structlog.typing.Processor
    if console:
        shared.append(_escaped)
        renderer = structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())
    else:
        shared.append(structlog.processors.format_exc_info)
        renderer = structlog.processors.JSONRenderer(serializer=_json)
    structlog.configure(
        processors=[*shared, renderer],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(structlog.stdlib.ProcessorFormatter(processor=renderer, foreign_pre_chain=shared))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(max(level, logging.WARNING))


def _json(value: object, default: object = None, **_: object) -> str:
    text = msgspec.json.encode(value, enc_hook=str).decode()
    return text.replace("\u2028", "\\u2028").replace("\u2029", "\\u2029").replace("\x85", "\\u0085")


def _bounded(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    for key, value in event.items():
        if isinstance(value, str) and len(value) > FIELD:
            event[key] = value[:FIELD] + "..."
    return event


def _escaped(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    """A terminal must not be driven by what clients sent."""
    for key, value in event.items():
        if isinstance(value, str) and not value.isprintable():
            event[key] = value.encode("unicode_escape").decode()
    return event


class RequestRecord(msgspec.Struct):
    """What is known of the HTTP request being served, filled in on its way for its one log line."""

    request_id: str
    calls: list[Call] = []


#: The record of the request that this task serves; None outside of one.
current_request: ContextVar[RequestRecord | None] = ContextVar("current_request", default=None)


class AccessObserver:
    """Ties finished calls to the HTTP request that made them."""

    def finished(self, call: Call) -> None:
        record = current_request.get()
        if record is not None:
            record.calls.append(call)


__all__ = ("AccessObserver", "RequestRecord", "configure", "current_request")

"""Set-up of logging: destination and format of the lines. No prompt and no secret is ever a field."""

from __future__ import annotations

import logging
import sys

import structlog
from structlog.typing import EventDict, WrappedLogger

from hyperllama.config import Logs
from hyperllama.observability import bounded
from hyperllama.observability.repeats import Repeats

_LEVELS = {"debug": logging.DEBUG, "info": logging.INFO, "warning": logging.WARNING, "error": logging.ERROR}


def configure(logs: Logs) -> None:
    """Send the lines of structlog and of the standard library's loggers to standard error.

    Text on a terminal, else one JSON object a line. A line has at most 2 KiB, and a warning or an error that comes
    again and again is counted instead of written. Replaces what was configured before.
    """
    console = logs.format == "console" or (logs.format == "auto" and sys.stderr.isatty())
    level = _LEVELS[logs.level]
    repeats = Repeats()
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="%H:%M:%S" if console else "iso", utc=not console),
        structlog.processors.StackInfoRenderer(),
        bounded.exception,
        bounded.bound,  # after the exception has become text
    ]
    renderer: structlog.typing.Processor
    if console:
        shared.append(_escape)
        renderer = structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())
    else:
        renderer = structlog.processors.JSONRenderer(serializer=_json)
    structlog.configure(
        processors=[repeats, *shared, renderer],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.addFilter(repeats.filter)
    handler.setFormatter(structlog.stdlib.ProcessorFormatter(processor=renderer, foreign_pre_chain=shared))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(max(level, logging.WARNING))


def _json(value: object, default: object = None, **_: object) -> str:
    return bounded.encode(value)


def _escape(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    """Escape what would drive a terminal; the lines of an exception stay lines."""
    for key, value in event.items():
        if isinstance(value, str) and not value.isprintable():
            lines = value.split("\n") if key == "exception" else [value]
            event[key] = "\n".join(line.encode("unicode_escape").decode() for line in lines)
    return event


__all__ = ("configure",)

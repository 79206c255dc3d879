"""Errors and warnings that come again and again: the first few in a minute are written, the rest are counted."""

from __future__ import annotations

import logging
import sys
import threading
import time
from collections.abc import Callable

import structlog
from structlog.typing import EventDict, WrappedLogger

from hyperllama.observability.bounded import place

WINDOW = 60.0  # seconds
EXCEPTIONS = 10  # lines in a window of one exception from one place
WARNINGS = 100  # lines in a window of one event without an exception
REMEMBERED = 256  # events; the one that began first is forgotten
LEVELS = ("warning", "error", "critical", "exception")


class Repeats:
    """A processor of structlog, and a filter of the standard library's handlers. Safe in threads."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._seen: dict[str, list[float]] = {}  # what it is: begin of the window, lines in it

    def __call__(self, _: WrappedLogger, method: str, event: EventDict) -> EventDict:
        """Raise DropEvent for a line too many; note on the next window's first line how many were dropped."""
        if method in LEVELS and "_record" not in event:
            words = event.get("event")
            dropped = self._count(words if isinstance(words, str) else type(words).__name__, event.get("exc_info"))
            if dropped < 0:
                raise structlog.DropEvent
            if dropped:
                event["dropped"] = dropped
        return event

    def filter(self, record: logging.LogRecord) -> bool:
        """Return whether a line of the standard library's is written."""
        return record.levelno < logging.WARNING or self._count(f"{record.name}: {record.msg}", record.exc_info) >= 0

    def _count(self, event: str, exc_info: object) -> int:
        """Return -1 for a line too many, else how many were dropped before this one."""
        error = exc_info[1] if isinstance(exc_info, tuple) else exc_info
        if error is True:
            error = sys.exc_info()[1]
        most, what = WARNINGS, event[:256]
        if isinstance(error, BaseException):
            most, what = EXCEPTIONS, f"{what}|{type(error).__name__}|{place(error)}"
        now = self._clock()
        with self._lock:
            began, lines = self._seen.get(what, (now, 0))
            dropped = 0
            if now - began >= WINDOW:
                dropped = max(int(lines) - most, 0)
                began, lines = now, 0
                self._seen.pop(what, None)
            self._seen[what] = [began, lines + 1]
            if len(self._seen) > REMEMBERED:
                del self._seen[next(iter(self._seen))]
        return -1 if lines >= most else dropped


__all__ = ("Repeats",)

"""The stdout and stderr of a host in the log: whole lines, cut to size, a bounded number of them."""

from __future__ import annotations

import time
from collections.abc import Callable

import structlog

MAX_LINE = 4096  # bytes of one line that are kept
MAX_LINES = 200  # lines of one stream in a window
WINDOW = 10.0  # seconds


class OutputLog:
    """An output stream of a host. Takes any number of bytes; keeps at most one line of them."""

    def __init__(self, name: str, *, warn: bool, clock: Callable[[], float] = time.monotonic) -> None:
        """``name`` of the model, for the log; ``warn`` for stderr, else lines are logged at debug."""
        logger = structlog.get_logger("hyperllama.host").bind(model=name)
        self._write: Callable[..., object] = logger.warning if warn else logger.debug
        self._clock = clock
        self._line = bytearray()
        self._cut = 0
        self._window = clock()
        self._lines = 0
        self._dropped = 0

    def feed(self, data: bytes) -> None:
        start = 0
        while (end := data.find(b"\n", start)) >= 0:
            self._keep(data[start:end])
            self._emit()
            start = end + 1
        self._keep(data[start:])

    def end(self) -> None:
        """Log what is left; the stream is closed."""
        if self._line or self._cut:
            self._emit()
        self._log_dropped()

    def _keep(self, piece: bytes) -> None:
        room = MAX_LINE - len(self._line)
        self._line += piece[:room]
        self._cut += max(0, len(piece) - room)

    def _emit(self) -> None:
        line, cut = self._line.decode("utf-8", "backslashreplace").rstrip(), self._cut
        self._line.clear()
        self._cut = 0
        if (now := self._clock()) - self._window >= WINDOW:
            self._log_dropped()
            self._window, self._lines = now, 0
        self._lines += 1
        if self._lines > MAX_LINES:
            self._dropped += 1
        elif cut:
            self._write("host output", line=line, truncated_bytes=cut)
        elif line:
            self._write("host output", line=line)

    def _log_dropped(self) -> None:
        if self._dropped:
            self._write("host output", dropped_lines=self._dropped)
            self._dropped = 0


__all__ = ("MAX_LINE", "MAX_LINES", "WINDOW", "OutputLog")

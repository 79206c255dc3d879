"""The progress of a load, read from MAX's log lines, which are its only report."""

from __future__ import annotations

import logging
import time
from typing import Final

from hyperllama.models import LoadProgress, Phase
from hyperllama.spi import Report

#: In the order MAX takes them; the first is silent.
_STAGES: Final = {
    "Building, compiling, and initializing model": "model",
    "Building, compiling, and initializing sampler": "sampler",
}


class LoadReporter(logging.Handler):
    """A log handler that reports MAX's log lines as progress, attached to its logger during the load."""

    def __init__(self, report: Report, estimate: float | None) -> None:
        super().__init__(logging.INFO)
        self._report = report
        self._estimate = estimate
        self._began = time.monotonic()
        self._phase: Phase = "importing"

    def phase(self, phase: Phase, detail: str = "") -> None:
        self._phase = phase
        self._report(LoadProgress(phase, detail, time.monotonic() - self._began, self._estimate))

    @property
    def seconds(self) -> float:
        return time.monotonic() - self._began

    def emit(self, record: logging.LogRecord) -> None:
        line = record.getMessage()
        for beginning, stage in _STAGES.items():
            if line.startswith(beginning):
                self.phase(self._phase, stage)


__all__ = ("LoadReporter",)

"""The HTTP request that a task serves, as its one log line and the metrics know it."""

from __future__ import annotations

from contextvars import ContextVar

import msgspec

from hyperllama.spi import Call


class RequestRecord(msgspec.Struct):
    """A request that is being served; calls are added as they finish."""

    request_id: str
    calls: list[Call] = []


#: The record of the request that this task serves; None outside of one.
current_request: ContextVar[RequestRecord | None] = ContextVar("current_request", default=None)


class AccessObserver:
    """An observer that adds finished calls to the request that made them."""

    def finished(self, call: Call) -> None:
        """Add ``call`` to the current request's record, if there is one."""
        record = current_request.get()
        if record is not None:
            record.calls.append(call)


__all__ = ("AccessObserver", "RequestRecord", "current_request")

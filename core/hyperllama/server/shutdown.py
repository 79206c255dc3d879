"""The state of a shutdown, shared by the server and the application."""

from __future__ import annotations

import asyncio
from collections.abc import Callable


class Shutdown:
    """The state that the server sets and the application reads, to answer not-ready and to refuse new work.

    ``event`` is set the moment the first signal comes, ``forced`` with the second.
    """

    def __init__(self, *, on_begin: Callable[[], None] | None = None) -> None:
        self.event = asyncio.Event()
        self.forced = asyncio.Event()
        self.tasks: set[asyncio.Task[None]] = set()  # one for each request in the application
        self._on_begin = on_begin

    @property
    def draining(self) -> bool:
        return self.event.is_set()

    @property
    def inflight(self) -> int:
        """Requests that the application has not finished, its own refusals among them."""
        return len(self.tasks)

    def begin(self) -> None:
        """Stop taking work; called again: stop at once. On the event loop only."""
        if self.event.is_set():
            self.forced.set()
            return
        self.event.set()
        if self._on_begin is not None:
            self._on_begin()


__all__ = ("Shutdown",)

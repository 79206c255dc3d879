"""A task that writes what has gathered: some time after it was woken, and again until it succeeds."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from types import TracebackType

import structlog

COMPLAIN_EVERY = 60.0  # seconds between two complaints about the same thing
PAUSE = 1.0  # seconds after a failure

log = structlog.get_logger(__name__)


class Turns:
    """Turns of writers, one at a time. When one fails, those that waited meanwhile fail with it.

    A database that is away is thus waited for once, not once for every request in the queue.
    """

    def __init__(self) -> None:
        self._lock = asyncio.Lock()
        self._failed: Exception | None = None  # the last one's error

    @asynccontextmanager
    async def take(self) -> AsyncGenerator[None, None]:
        """Wait for a turn. Raises the error of the writer before, when it failed meanwhile."""
        before = self._failed
        async with self._lock:
            if self._failed is not None and self._failed is not before:
                raise self._failed.with_traceback(None)
            try:
                yield
            except Exception as error:
                self._failed = error
                raise


class WriteBehind:
    """A background task that calls ``write`` while it is entered; leaving it writes a last time.

    ``write`` is called ``gather`` seconds after :meth:`wake`, and at the latest every ``at_least()`` seconds; None:
    only when woken. After an exception it is called again; ``complaint`` is the line logged for it, once a minute.
    """

    def __init__(
        self,
        write: Callable[[], Awaitable[None]],
        complaint: str,
        *,
        gather: float = 0.0,
        at_least: Callable[[], float | None] = lambda: None,
    ) -> None:
        self._write = write
        self._complaint = complaint
        self._gather = gather
        self._at_least = at_least
        self._wake = asyncio.Event()
        self._complained = float("-inf")
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> WriteBehind:
        self._task = asyncio.create_task(self._run(), name=self._complaint)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()
        await self.attempt()

    async def stop(self) -> None:
        """End the task without a last write."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    def wake(self) -> None:
        """Have something written soon."""
        self._wake.set()

    async def attempt(self) -> bool:
        """Write now; return whether that succeeded."""
        try:
            await self._write()
        except Exception as error:  # noqa: BLE001 - whatever a database raises, it is tried again
            self.complain(self._complaint, type(error).__name__)
            return False
        return True

    def complain(self, what: str, reason: str) -> None:
        """Log a warning, unless there was one a moment ago."""
        if time.monotonic() - self._complained >= COMPLAIN_EVERY:
            self._complained = time.monotonic()
            log.warning(what, reason=reason)

    async def _run(self) -> None:
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(self._at_least()):
                    await self._wake.wait()
                    await asyncio.sleep(self._gather)
            self._wake.clear()
            if not await self.attempt():
                self._wake.set()
                await asyncio.sleep(PAUSE)


__all__ = ("Turns", "WriteBehind")

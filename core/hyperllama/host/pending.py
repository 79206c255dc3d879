"""The requests that are in a host: streams of chunks, and questions that have one answer."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from hyperllama.errors import GatewayError
from hyperllama.host import failures
from hyperllama.host.frames import Step
from hyperllama.stream import ChunkQueue


class Admission:
    """A generation that the host has not admitted yet; afterwards its queue stands in its place."""

    __slots__ = ("future", "queue")

    def __init__(self, future: asyncio.Future[Any], queue: ChunkQueue) -> None:
        self.future = future
        self.queue = queue


class Pending:
    """The requests by number, in one table: an admission, then its queue; or the future of an answer."""

    def __init__(self) -> None:
        self._ids = iter(range(1, 1 << 62))
        self._entries: dict[int, Admission | ChunkQueue | asyncio.Future[Any]] = {}

    def __len__(self) -> int:
        return len(self._entries)

    def question(self) -> tuple[int, asyncio.Future[Any]]:
        """Return a new number and the future of its answer."""
        number = next(self._ids)
        future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._entries[number] = future
        return number, future

    def generation(self, drop: Callable[[int], None]) -> tuple[int, asyncio.Future[Any], ChunkQueue]:
        """Return a new number, the future of its admission and the queue of its chunks.

        ``drop`` is called with the number when the reader of the queue has gone.
        """
        number = next(self._ids)
        admission = Admission(asyncio.get_running_loop().create_future(), ChunkQueue(lambda: drop(number)))
        self._entries[number] = admission
        return number, admission.future, admission.queue

    def step(self, message: Step) -> None:
        """Hand out the chunks of one step of the engine, then the errors of the streams that it broke."""
        entries = self._entries
        for number, chunk in message.chunks:
            queue = entries.get(number)
            if type(queue) is ChunkQueue:
                queue.put(chunk)
                if chunk.finish_reason is not None:
                    del entries[number]
        for refused in message.broken:
            self.fail(refused.id, failures.error(refused))

    def answer(self, number: int, value: object) -> None:
        """Answer a question, or admit a generation. An unknown number does nothing."""
        entry = self._entries.get(number)
        if isinstance(entry, Admission):
            self._entries[number] = entry.queue
            entry = entry.future
        if isinstance(entry, asyncio.Future) and not entry.done():
            entry.set_result(value)

    def fail(self, number: int, error: GatewayError) -> None:
        """End a request with an error."""
        entry = self._entries.pop(number, None)
        if isinstance(entry, ChunkQueue):
            entry.fail(error)
        elif entry is not None:
            future = entry.future if isinstance(entry, Admission) else entry
            if not future.done():
                future.set_exception(error)

    def fail_all(self, make: Callable[[], GatewayError]) -> None:
        """End every request, each with an error of its own."""
        for number in list(self._entries):
            self.fail(number, make())

    def forget(self, number: int) -> bool:
        """Drop a request; False: there was none of that number."""
        return self._entries.pop(number, None) is not None


__all__ = ("Admission", "Pending")

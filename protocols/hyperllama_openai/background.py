"""Background responses, made without a client that waits for them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from typing import TypeAlias

from hyperllama.errors import EngineFailed, GatewayError
from hyperllama.stream import TokenStream
from hyperllama_openai.encode.responses_stream import ResponsesEncoder

Generate: TypeAlias = Callable[[], Awaitable[TokenStream]]


class Run:
    """A response in the making: its events so far, for any number of readers."""

    def __init__(self, encoder: ResponsesEncoder, owner: str) -> None:
        self.encoder = encoder
        self.owner = owner
        self.events: list[bytes] = split(encoder.begin())
        self.done = False
        self._grown = asyncio.Event()

    async def drive(self, generate: Generate) -> None:
        """Generate to the end and keep all events, an error's included. Cancelling it cancels the generation."""
        try:
            stream = await generate()
            try:
                while chunks := await stream.batch():
                    self._add(self.encoder.chunks(0, chunks))
            finally:
                await asyncio.shield(stream.aclose())
            self._end(self.encoder.end())
        except GatewayError as error:
            self._end(self.encoder.failure(error))
        except asyncio.CancelledError:
            self._end(self.encoder.cancel())
            raise
        except Exception as error:
            self._end(self.encoder.failure(EngineFailed("The engine broke while it worked on this request.")))
            raise error

    async def follow(self, start: int) -> AsyncGenerator[bytes, None]:
        """Yield the events numbered ``start`` and later, as they come, to the end."""
        while True:
            if start < len(self.events):
                yield b"".join(self.events[start:])
                start = len(self.events)
            elif self.done:
                return
            else:
                self._grown.clear()
                await self._grown.wait()

    def _add(self, events: bytes) -> None:
        self.events += split(events)
        self._grown.set()

    def _end(self, events: bytes) -> None:
        self.done = True
        self._add(events)


class Runs:
    """The runs under way, by response id."""

    def __init__(self) -> None:
        self._live: dict[str, tuple[Run, asyncio.Task[None]]] = {}

    def start(
        self,
        id: str,
        run: Run,
        generate: Generate,
        *,
        every: float,
        on_beat: Callable[[Run], None],
        on_end: Callable[[Run], None],
    ) -> None:
        """Start ``run``. Every ``every`` seconds ``on_beat`` is called, and ``on_end`` before it stops being live."""
        task = asyncio.create_task(run.drive(generate), name=f"background response {id}")
        beating = asyncio.create_task(_beat(every, lambda: on_beat(run)), name=f"vouching for response {id}")
        self._live[id] = (run, task)

        def ended(task: asyncio.Task[None]) -> None:
            beating.cancel()
            on_end(run)
            self._live.pop(id, None)
            if not task.cancelled():
                task.exception()  # reported in the response; read here so that asyncio does not log it again

        task.add_done_callback(ended)

    def get(self, id: str, owner: str) -> Run | None:
        run, _ = self._live.get(id, (None, None))
        return run if run is not None and run.owner == owner else None

    async def cancel(self, id: str) -> None:
        """Cancel the run of ``id``, if there is one. Return once the generation has been given back."""
        _, task = self._live.get(id, (None, None))
        if task is not None:
            task.cancel()
            await asyncio.wait([task])
            await asyncio.sleep(0)  # the callback that keeps the response runs a turn after the task


async def _beat(every: float, beat: Callable[[], None]) -> None:
    while True:
        await asyncio.sleep(every)
        beat()


def split(events: bytes) -> list[bytes]:
    """Return the events one by one; JSON on one line holds no blank line."""
    return [event + b"\n\n" for event in events.split(b"\n\n") if event]


__all__ = ("Generate", "Run", "Runs", "split")

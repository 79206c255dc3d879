"""The child's side: the worker on the main thread, frames on the I/O loop of another, pings on a third."""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import importlib
import os
import socket
import sys
import threading
import traceback
from collections.abc import Callable, Coroutine, Sequence
from pathlib import Path
from typing import Any, cast

import uvloop

from hyperllama.errors import ConfigError, Draining, EngineFailed, GatewayError, LoadFailed
from hyperllama.generation import TokenChunk
from hyperllama.host import failures, frames
from hyperllama.host.frames import FromHost, ToHost
from hyperllama.host.responder import Responder
from hyperllama.host.worker import Pulse, Worker
from hyperllama.models import LoadProgress
from hyperllama.system.executors import SWITCH_INTERVAL

PR_SET_NAME = 15
REPEAT = 1.0  # seconds between reports of a phase that lasts


def main(fd: int, heartbeat_fd: int, factory: str) -> None:
    """Serve the connections until they end. Returns when there is nothing left to do; the caller exits."""
    sys.setswitchinterval(SWITCH_INTERVAL)
    host = Host(socket.socket(fileno=fd), socket.socket(fileno=heartbeat_fd), factory)
    host.start()
    host.run()


class Host:
    """The host of a worker: it runs on the caller's thread, frames are handled on the I/O thread, pings on a third."""

    def __init__(self, sock: socket.socket, heartbeat: socket.socket, factory: str) -> None:
        self._sock = sock
        self._factory = factory
        self._loop = uvloop.new_event_loop()
        self._thread = threading.Thread(target=self._serve, name="io", daemon=True)
        self._responder = Responder(heartbeat, self._loop, self._pulse)
        self._encode = frames.encoder()
        self._transport: asyncio.Transport | None = None
        self._load: frames.Load | None = None
        self._load_received = threading.Event()
        self._worker: Worker | None = None
        self._serving = False
        self._draining = False
        self._progress = LoadProgress("importing")
        self._tasks: dict[int, asyncio.Task[None]] = {}
        self._streams: set[int] = set()

    # --- main thread

    def start(self) -> None:
        """Serve the connections from now on."""
        self._thread.start()

    def run(self) -> None:
        """Load, report it, work until the connection ends or a drain is over."""
        self._load_received.wait()
        assert self._load is not None  # noqa: S101 - set before the event
        load = self._load
        try:
            self._report(LoadProgress("importing"))
            worker = _make(self._factory)(self)
            info = worker.load(load.spec, None if load.path is None else Path(load.path), load.settings, self._report)
        except (LoadFailed, ConfigError) as error:
            self._last(frames.LoadError(error.message if isinstance(error, LoadFailed) else str(error)))
            return
        except Exception as error:  # noqa: BLE001 - whatever an engine raises, the gateway gets it and is not left waiting
            traceback.print_exc()
            self._last(frames.LoadError(f"{type(error).__name__}: {_first_line(error)}"))
            return
        self._worker = worker
        self.later(lambda: self._ready(frames.Ready(info)))
        try:
            worker.run()
        except BaseException as error:
            traceback.print_exc()
            self._last(frames.Fatal(f"{type(error).__name__}: {_first_line(error)}"))
            raise

    # --- Channel

    def step(self, chunks: list[tuple[int, TokenChunk]]) -> None:
        streams = self._streams
        for number, chunk in chunks:
            if chunk.finish_reason is not None:
                streams.discard(number)
        self._write(frames.Step(chunks))
        self._end_if_drained()

    def fail(self, errors: Sequence[tuple[int, GatewayError]]) -> None:
        admitted = [(number, error) for number, error in errors if number in self._streams]
        self._streams.difference_update(number for number, _ in admitted)
        if admitted:
            self._write(frames.Step([], [failures.refusal(number, error) for number, error in admitted]))
        self._end_if_drained()

    def later(self, callback: Callable[[], None]) -> None:
        with contextlib.suppress(RuntimeError):  # the loop is closed: the process is ending
            self._loop.call_soon_threadsafe(callback)

    # --- I/O thread

    def _serve(self) -> None:
        ctypes.CDLL(None).prctl(PR_SET_NAME, b"io")  # so that tools tell its processor time from MAX's
        asyncio.set_event_loop(self._loop)
        self._loop.run_until_complete(self._loop.create_unix_connection(lambda: _Connection(self), sock=self._sock))
        self._loop.call_later(REPEAT, self._repeat)
        self._loop.run_forever()

    def connected(self, transport: asyncio.Transport) -> None:
        self._transport = transport
        self._responder.start()  # now that the loop runs: calling one of uvloop's while it starts can crash
        self._write(frames.Hello(frames.VERSION, os.getpid()))

    def lost(self) -> None:
        """Exit at once: the gateway is gone or wants this host gone."""
        sys.stdout.flush()
        os._exit(0)

    def receive(self, message: ToHost | FromHost) -> None:
        match message:
            case frames.Submit(number, request):
                self._begin(number, lambda worker: self._submit(worker, number, request))
            case frames.Cancel(number):
                self._cancel(number)
            case frames.Embed(number, request):
                self._begin(number, lambda worker: self._reply(number, worker.embed(request), frames.Embedded))
            case frames.Tokenize(number, input, tools, reasoning, rendering):
                own: dict[str, Any] = {} if rendering is None else {"rendering": rendering}
                self._begin(
                    number,
                    lambda worker: self._reply(
                        number, worker.tokenize(input, tools=tools, reasoning=reasoning, **own), frames.Tokens
                    ),
                )
            case frames.Detokenize(number, ids):
                self._begin(number, lambda worker: self._reply(number, worker.detokenize(ids), frames.Detokenized))
            case frames.DetokenizeEach(number, ids):
                self._begin(number, lambda worker: self._reply(number, _texts(worker, ids), frames.Texts))
            case frames.Drain():
                self._draining = True
                self._end_if_drained()
            case frames.Load(version):
                if version != frames.VERSION:
                    self._last(frames.Fatal(f"the gateway's protocol is version {version}, not {frames.VERSION}"))
                self._load = message
                self._load_received.set()
            case _:
                self._last(frames.Fatal(f"a {type(message).__name__} frame goes the other way"))

    def _begin(self, number: int, work: Callable[[Worker], Coroutine[Any, Any, None]]) -> None:
        if self._worker is None or not self._serving:
            self._write(failures.refusal(number, EngineFailed("the model is not loaded yet")))
        elif self._draining:
            self._write(failures.refusal(number, Draining("the model is being unloaded")))
        else:
            self._tasks[number] = task = self._loop.create_task(self._guard(number, work(self._worker)))
            task.add_done_callback(lambda _: self._tasks.pop(number, None))

    async def _guard(self, number: int, work: Coroutine[Any, Any, None]) -> None:
        try:
            await work
        except GatewayError as error:
            self._write(failures.refusal(number, error))
        except Exception as error:  # noqa: BLE001 - one request's failure is no other's
            traceback.print_exc()
            self._write(failures.refusal(number, EngineFailed(f"the engine raised {type(error).__name__}")))
        self._end_if_drained()

    async def _submit(self, worker: Worker, number: int, request: Any) -> None:
        await worker.submit(number, request)
        # No await in between: the first chunk cannot overtake this.
        self._streams.add(number)
        self._write(frames.Admitted(number))

    async def _reply(self, number: int, work: Coroutine[Any, Any, Any], kind: Callable[[int, Any], FromHost]) -> None:
        self._write(kind(number, await work))

    def _cancel(self, number: int) -> None:
        task = self._tasks.get(number)
        if task is not None and not task.done():  # done and still there: its callback runs in the next turn
            task.cancel()
        elif number in self._streams and self._worker is not None:
            self._streams.discard(number)
            self._worker.cancel(number)
            self._end_if_drained()

    def _pulse(self) -> Pulse:
        return self._worker.pulse() if self._worker is not None else Pulse()

    def _report(self, progress: LoadProgress) -> None:
        self._progress = progress
        self.later(lambda: self._write(frames.Progress(progress)))

    def _repeat(self) -> None:
        if not self._serving:
            self._write(frames.Progress(self._progress))
            self._loop.call_later(REPEAT, self._repeat)

    def _ready(self, ready: frames.Ready) -> None:
        self._serving = True
        self._write(ready)

    def _end_if_drained(self) -> None:
        if self._draining and not self._streams and not self._tasks and self._transport is not None:
            self._transport.close()  # what is written goes out first; then ``lost`` ends the process

    def _last(self, message: FromHost) -> None:
        """Send a last message and end."""
        done = threading.Event()

        def say() -> None:
            self._write(message)
            if self._transport is not None:
                self._transport.close()
            done.set()

        self.later(say)
        if threading.current_thread() is not self._thread:
            done.wait(1.0)
            self._thread.join(1.0)  # ``lost`` ends the process from there

    def _write(self, message: FromHost) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(self._encode(message))


class _Connection(asyncio.Protocol):
    def __init__(self, host: Host) -> None:
        self._host = host
        self._reader = frames.Reader("host")

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._host.connected(cast(asyncio.Transport, transport))

    def data_received(self, data: bytes) -> None:
        for message in self._reader.feed(data):
            self._host.receive(message)

    def connection_lost(self, exc: Exception | None) -> None:
        self._host.lost()


def _make(factory: str) -> Callable[[Host], Worker]:
    module, _, attribute = factory.partition(":")
    return cast("Callable[[Host], Worker]", getattr(importlib.import_module(module), attribute))


async def _texts(worker: Worker, ids: Sequence[int]) -> tuple[str, ...]:
    """Return the text of each token by itself. Other work of the loop goes on in between."""
    texts: dict[int, str] = {}
    for number in ids:
        if number not in texts:
            texts[number] = await worker.detokenize((number,))
            await asyncio.sleep(0)
    return tuple(texts[number] for number in ids)


def _first_line(error: BaseException) -> str:
    return (str(error).splitlines() or [""])[0][:500]


__all__ = ("Host", "main")

"""The gateway's side of an engine host: a loaded model whose work happens in a child process."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar, cast

import msgspec

from hyperllama.embedding import EmbeddingRequest, Embeddings
from hyperllama.errors import EngineFailed, GatewayError, InvalidRequest, LoadFailed
from hyperllama.generation import Effort, GenerationRequest, ToolSpec
from hyperllama.host import child_process, failures, frames
from hyperllama.host.child_process import ChildProcess
from hyperllama.host.frames import FromHost, ToHost
from hyperllama.host.heartbeat import Heartbeat
from hyperllama.messages import Input
from hyperllama.models import ModelInfo, ModelSpec
from hyperllama.spi import Report
from hyperllama.stream import ChunkQueue, TokenStream

T = TypeVar("T")
EXIT_GRACE = 0.1  # seconds in which a host that closed its connection is expected to have exited


class HostOptions(msgspec.Struct, frozen=True, kw_only=True):
    """How to run a host. ``factory`` is ``"module:attribute"``, called there with a Line to make the Worker."""

    factory: str
    environment: dict[str, str] = {}  # beside the few variables that every host inherits
    settings: dict[str, Any] = {}  # what the worker's ``load`` gets
    silence: float = 8.0  # seconds without a pong that are a hang
    load_silence: float = 120.0  # the same while loading: importing native code may hold everything up
    longest_step: float = 300.0  # seconds one engine step may take
    drain_grace: float = 1.0  # seconds between closing the connection and SIGTERM
    suspend_after: float | None = None  # seconds without work after which the host is stopped; None: never


class HostedModel:
    """A model in a host of its own. Made by :func:`launch`.

    ``casualties`` are the requests that were in the host when it failed, the very objects it was given: whoever
    counts which of them was there at several deaths finds the one that kills.
    """

    def __init__(self, name: str, options: HostOptions) -> None:
        self.failure: str | None = None
        self.casualties: tuple[GenerationRequest | EmbeddingRequest, ...] = ()
        self._name = name
        self._options = options
        self._info: ModelInfo | None = None
        self._watchers: list[Callable[[str], None]] = []
        self._ids = iter(range(1, 1 << 62))
        self._streams: dict[int, ChunkQueue] = {}
        self._answers: dict[int, asyncio.Future[Any]] = {}
        self._requests: dict[int, GenerationRequest | EmbeddingRequest] = {}
        self._encode = frames.encoder()
        self._child: ChildProcess | None = None
        self._transport: asyncio.Transport | None = None
        self._heartbeat: Heartbeat | None = None
        self._vram = 0
        self._used = 0.0  # when a ping last found work
        self._suspended = False
        self._report: Report | None = None
        self._ready: asyncio.Future[ModelInfo] = asyncio.get_running_loop().create_future()
        self._hello: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._began = time.monotonic()

    # --- LoadedModel

    @property
    def info(self) -> ModelInfo:
        if self._info is None:
            raise EngineFailed(f"model {self._name!r} is not loaded")
        return self._info

    @property
    def pid(self) -> int:
        """Of the host process."""
        return self._child.pid if self._child is not None else 0

    def silent_for(self) -> float:
        return self._heartbeat.age() if self._heartbeat is not None else 0.0

    def memory(self) -> tuple[int, int]:
        return (self._child.memory() if self._child is not None else 0), self._vram

    async def generate(self, request: GenerationRequest) -> TokenStream:
        number = next(self._ids)
        self._requests[number] = request
        self._streams[number] = queue = ChunkQueue(lambda: self._drop(number))
        try:
            await self._ask(number, frames.Submit(number, request), None)
        except BaseException:
            self._forget(number)
            raise
        return TokenStream(queue)

    def watch(self, on_failure: Callable[[str], None]) -> None:
        if self.failure is not None:
            asyncio.get_running_loop().call_soon(on_failure, self.failure)
        else:
            self._watchers.append(on_failure)

    async def close(self) -> None:
        """As LoadedModel says. Safe to call twice, and while it loads."""
        self._fail("it was unloaded", report=False)
        if self._child is not None:
            await asyncio.shield(asyncio.ensure_future(self._child.end(grace=self._options.drain_grace)))

    # --- Embeds, Tokenizes

    async def embed(self, request: EmbeddingRequest) -> Embeddings:
        number = next(self._ids)
        self._requests[number] = request
        try:
            return await self._ask(number, frames.Embed(number, request), Embeddings)
        finally:
            self._requests.pop(number, None)

    async def tokenize(
        self, input: Input, *, tools: Sequence[ToolSpec] = (), reasoning: bool | Effort | None = None
    ) -> tuple[int, ...]:
        number = next(self._ids)
        return await self._ask(number, frames.Tokenize(number, input, tuple(tools), reasoning), tuple)

    async def detokenize(self, ids: Sequence[int]) -> str:
        number = next(self._ids)
        return await self._ask(number, frames.Detokenize(number, tuple(ids)), str)

    # --- loading

    async def load(self, spec: ModelSpec, path: Path | None, report: Report) -> None:
        """Start the host and wait until it is ready. Whatever this raises, nothing is left running."""
        self._report = report
        try:
            await self._load(spec, path)
        except BaseException:
            await self.close()
            raise
        finally:
            self._report = None

    async def _load(self, spec: ModelSpec, path: Path | None) -> None:
        loop = asyncio.get_running_loop()
        options = self._options
        try:
            self._child, ours = await child_process.spawn(
                self._name, options.factory, options.environment, self._on_exit
            )
        except OSError as error:
            raise LoadFailed(f"cannot start an engine process for model {self._name!r}: {error.strerror}") from error
        await loop.create_unix_connection(lambda: _Connection(self), sock=ours)
        self._heartbeat = Heartbeat(
            self._ping, self._on_hang, silence=options.load_silence, longest_step=options.longest_step
        )
        await self._hello
        self._send(frames.Load(frames.VERSION, spec, None if path is None else str(path), options.settings))
        self._info = await self._ready
        self._used = loop.time()
        self._heartbeat.allow(options.silence)

    # --- frames in

    def receive(self, message: ToHost | FromHost) -> None:
        """One message from the host. Called by the connection, most often with a Step."""
        match message:
            case frames.Step(chunks, broken):
                streams = self._streams
                for number, chunk in chunks:
                    queue = streams.get(number)
                    if queue is not None:
                        queue.put(chunk)
                        if chunk.finish_reason is not None:
                            self._forget(number)
                for refused in broken:
                    self._break(refused)
            case frames.Admitted(number):
                self._answer(number, None)
            case frames.Refused():
                self._break(message)
            case frames.Embedded(number, embeddings):
                self._answer(number, embeddings)
            case frames.Tokens(number, ids):
                self._answer(number, ids)
            case frames.Detokenized(number, text):
                self._answer(number, text)
            case frames.Pong():
                self._vram = message.vram
                if self._heartbeat is not None:
                    self._heartbeat.beat(message)
            case frames.Progress(progress):
                if self._report is not None:
                    self._report(msgspec.structs.replace(progress, seconds=time.monotonic() - self._began))
            case frames.Hello(version):
                if version != frames.VERSION:
                    self.broken(f"its protocol is version {version}, not {frames.VERSION}")
                elif not self._hello.done():
                    self._hello.set_result(None)
            case frames.Ready(info):
                if not self._ready.done():
                    self._ready.set_result(info)
            case frames.LoadError(reason):
                self._end_load(LoadFailed(reason))
            case frames.Fatal(reason):
                self._fail(reason)

    def broken(self, reason: str) -> None:
        """What comes over the connection cannot be understood."""
        self._fail(reason)

    def lost(self) -> None:
        """The connection ended. The exit code, known in a moment, is a better reason than that."""
        if self.failure is None:
            asyncio.get_running_loop().call_later(EXIT_GRACE, self._fail, "it closed its connection")

    def connected(self, transport: asyncio.Transport) -> None:
        self._transport = transport

    # --- the host is gone, or must go

    def _on_exit(self) -> None:
        returncode = self._child.returncode if self._child is not None else None
        self._fail(child_process.describe_exit(returncode))

    def _on_hang(self, reason: str) -> None:
        self._fail(f"it hung: {reason}")

    def _fail(self, reason: str, *, report: bool = True) -> None:
        """Every stream and question fails now; the process, if it still lives, is ended."""
        if self.failure is not None:
            return
        self.failure = reason
        self.casualties = tuple(self._requests.values())
        self._resume()
        if self._heartbeat is not None:
            self._heartbeat.stop()
        if self._transport is not None:
            self._transport.close()
        if report and self._child is not None:
            self._child.signal(child_process.KILL)
        self._end_load(LoadFailed(f"the engine of model {self._name!r} ended while loading: {reason}"))
        sentence = f"The engine of model {self._name!r} failed: {reason}. The request was lost; send it again."
        streams, answers = self._streams, self._answers
        self._streams, self._answers, self._requests = {}, {}, {}
        for queue in streams.values():
            queue.fail(EngineFailed(sentence))
        for future in answers.values():
            if not future.done():
                future.set_exception(EngineFailed(sentence))
        if report:
            watchers, self._watchers = self._watchers, []
            for watcher in watchers:
                watcher(reason)

    def _end_load(self, error: GatewayError) -> None:
        for future in (self._hello, self._ready):
            if not future.done():
                future.set_exception(error)
                future.exception()  # one of them may have nobody waiting

    # --- idleness: an engine may burn a share of a core waiting; a stopped one burns nothing

    def _ping(self, ping: frames.Ping) -> None:
        now = asyncio.get_running_loop().time()
        after = self._options.suspend_after
        if self._requests or self._answers or not self._ready.done():
            self._used = now
        elif after is not None and now - self._used >= after and self._child is not None:
            self._suspended = True
            if self._heartbeat is not None:
                self._heartbeat.stop()
            self._child.signal(signal.SIGSTOP)
            return
        self._send(ping)

    def _resume(self) -> None:
        if self._suspended and self._child is not None:
            self._suspended = False
            self._child.signal(signal.SIGCONT)
            if self._heartbeat is not None:
                self._heartbeat.resume()

    # --- requests

    async def _ask(self, number: int, message: ToHost, _: type[T] | None) -> T:
        if self.failure is not None:
            raise EngineFailed(f"The engine of model {self._name!r} failed: {self.failure}.")
        if self._suspended:
            self._resume()
        future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._answers[number] = future
        try:
            self._send(message)
            return cast(T, await future)
        except asyncio.CancelledError:
            self._send(frames.Cancel(number))
            raise
        except frames.BadFrameError as error:
            raise EngineFailed(f"The request is too large for the engine: {error}.") from error
        except OverflowError as error:
            raise InvalidRequest("A number in the request is beyond 64 bits.") from error
        finally:
            self._answers.pop(number, None)

    def _answer(self, number: int, value: object) -> None:
        future = self._answers.get(number)
        if future is not None and not future.done():
            future.set_result(value)

    def _break(self, refused: frames.Refused) -> None:
        error = failures.error(refused)
        future = self._answers.get(refused.id)
        if future is not None and not future.done():
            future.set_exception(error)
            return
        queue = self._streams.get(refused.id)
        self._forget(refused.id)
        if queue is not None:
            queue.fail(error)

    def _drop(self, number: int) -> None:
        if number in self._streams:
            self._forget(number)
            self._send(frames.Cancel(number))

    def _forget(self, number: int) -> None:
        self._streams.pop(number, None)
        self._requests.pop(number, None)

    def _send(self, message: ToHost) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(self._encode(message))


async def launch(name: str, options: HostOptions, spec: ModelSpec, path: Path | None, report: Report) -> HostedModel:
    """Load ``spec`` in a new host process. Raises LoadFailed, with the process ended; cancelling ends it likewise.

    Call it on the main thread: the host dies with the thread that started it.
    """
    model = HostedModel(name, options)
    await model.load(spec, path, report)
    return model


class _Connection(asyncio.Protocol):
    """Bytes to messages; as little as can be between the socket and the queues."""

    def __init__(self, model: HostedModel) -> None:
        self._model = model
        self._reader = frames.Reader("gateway")

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._model.connected(cast(asyncio.Transport, transport))

    def data_received(self, data: bytes) -> None:
        try:
            messages = self._reader.feed(data)
        except frames.BadFrameError as error:
            self._model.broken(f"it broke the protocol: {error}")
            return
        receive = self._model.receive
        for message in messages:
            receive(message)

    def connection_lost(self, exc: Exception | None) -> None:
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody is left to tell
            self._model.lost()


__all__ = ("HostOptions", "HostedModel", "launch")

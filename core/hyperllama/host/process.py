"""The gateway's side of an engine host: a loaded model whose work happens in a child process."""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import msgspec

from hyperllama.embedding import EmbeddingRequest, Embeddings
from hyperllama.errors import EngineFailed, GatewayError, InvalidRequest, LoadFailed
from hyperllama.generation import Effort, GenerationRequest, Rendering, ToolSpec
from hyperllama.host import bounds, child_process, failures, frames
from hyperllama.host.child_process import ChildProcess
from hyperllama.host.connection import Connection
from hyperllama.host.frames import FromHost, ToHost
from hyperllama.host.heartbeat import Heartbeat
from hyperllama.host.pending import Pending
from hyperllama.messages import Input
from hyperllama.models import ModelInfo, ModelSpec
from hyperllama.spi import Report
from hyperllama.stream import TokenStream

EXIT_GRACE = 0.1  # seconds in which a host that closed its connection is expected to have exited


class HostOptions(msgspec.Struct, frozen=True, kw_only=True):
    """The options of a host. ``factory`` is ``"module:attribute"``, called there with a Channel to make the Worker."""

    factory: str
    environment: dict[str, str] = {}  # beside the few variables that every host inherits
    settings: dict[str, Any] = {}  # what the worker's ``load`` gets
    silence: float = 8.0  # seconds without a pong that are a hang; four times as many if the host uses the processor
    load_silence: float = 120.0  # the same while loading: importing native code may hold everything up
    longest_step: float = 300.0  # seconds one engine step may take
    drain_grace: float = 1.0  # seconds between closing the connection and SIGTERM
    suspend_after: float | None = None  # seconds without work after which the host is stopped; None: never


class HostedModel:
    """A model in a host of its own. Made by :func:`launch`.

    Inputs that cannot fit the model are refused here, before they cost the host anything.
    """

    def __init__(self, name: str, options: HostOptions) -> None:
        self.failure: str | None = None
        self._name = name
        self._options = options
        self._info: ModelInfo | None = None
        self._watchers: list[Callable[[str], None]] = []
        self._pending = Pending()
        self._child: ChildProcess | None = None
        self._connection = Connection(self)
        self._beats = Connection(_Beats(self))
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
        """The id of the host process; 0 before it is started."""
        return self._child.pid if self._child is not None else 0

    def silent_for(self) -> float:
        return self._heartbeat.age() if self._heartbeat is not None else 0.0

    def memory(self) -> tuple[int, int]:
        return (self._child.memory() if self._child is not None else 0), self._vram

    async def generate(self, request: GenerationRequest) -> TokenStream:
        bounds.check(request.input, self._context, request.tools)
        number, admitted, queue = self._pending.generation(self._drop)
        try:
            await self._ask(number, frames.Submit(number, request), admitted)
        except BaseException:
            self._pending.forget(number)
            raise
        return TokenStream(queue)

    def watch(self, on_failure: Callable[[str], None]) -> None:
        if self.failure is not None:
            asyncio.get_running_loop().call_soon(on_failure, self.failure)
        else:
            self._watchers.append(on_failure)

    async def close(self) -> None:
        """Close the model, as :class:`LoadedModel` requires. Safe to call twice, and while it loads."""
        self._fail("it was unloaded", report=False)
        if self._child is not None:
            await asyncio.shield(asyncio.ensure_future(self._child.end(grace=self._options.drain_grace)))

    # --- Embeds, Tokenizes

    async def embed(self, request: EmbeddingRequest) -> Embeddings:
        request = bounds.shortened(request, self._context)
        embeddings: Embeddings = await self._question(lambda number: frames.Embed(number, request))
        return embeddings

    async def tokenize(
        self,
        input: Input,
        *,
        tools: Sequence[ToolSpec] = (),
        reasoning: bool | Effort | None = None,
        rendering: Rendering | None = None,
    ) -> tuple[int, ...]:
        bounds.check(input, self._context, tools)
        ids: tuple[int, ...] = await self._question(
            lambda number: frames.Tokenize(number, input, tuple(tools), reasoning, rendering)
        )
        return ids

    async def detokenize(self, ids: Sequence[int]) -> str:
        bounds.check_ids(ids, self._context)
        text: str = await self._question(lambda number: frames.Detokenize(number, tuple(ids)))
        return text

    async def token_texts(self, ids: Sequence[int]) -> tuple[str, ...]:
        bounds.check_ids(ids, self._context)
        texts: tuple[str, ...] = await self._question(lambda number: frames.DetokenizeEach(number, tuple(ids)))
        return texts

    # --- loading

    async def load(self, spec: ModelSpec, path: Path | None, report: Report) -> None:
        """Start the host and wait until it is ready. Raises LoadFailed, with nothing left running."""
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
            spawned = await child_process.spawn(self._name, options.factory, options.environment, self._on_exit)
        except OSError as error:
            raise LoadFailed(f"cannot start an engine process for model {self._name!r}: {error.strerror}") from error
        self._child = spawned.child
        await loop.create_unix_connection(lambda: self._beats, sock=spawned.heartbeat)
        await loop.create_unix_connection(lambda: self._connection, sock=spawned.frames)
        self._heartbeat = Heartbeat(
            self._ping,
            self._on_hang,
            silence=options.load_silence,
            longest_step=options.longest_step,
            cpu_seconds=spawned.child.cpu_seconds,
        )
        await self._hello
        self._connection.send(frames.Load(frames.VERSION, spec, None if path is None else str(path), options.settings))
        self._info = await self._ready
        self._used = loop.time()
        self._heartbeat.allow(options.silence)

    # --- frames in

    def receive(self, message: ToHost | FromHost) -> None:
        """Take one message of the host, most often a Step."""
        match message:
            case frames.Step():
                self._pending.step(message)
            case frames.Admitted(number):
                self._pending.answer(number, None)
            case frames.Refused(number):
                self._pending.fail(number, failures.error(message))
            case frames.Embedded(number, answer) | frames.Tokens(number, answer):
                self._pending.answer(number, answer)
            case frames.Detokenized(number, answer) | frames.Texts(number, answer):
                self._pending.answer(number, answer)
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
        """Give up a host whose bytes cannot be understood."""
        self._fail(reason)

    def lost(self) -> None:
        """Fail when the connection ended; in a moment, since the exit code is a better reason."""
        if self.failure is None:
            asyncio.get_running_loop().call_later(EXIT_GRACE, self._fail, "it closed its connection")

    # --- the host is gone, or must go

    def _on_exit(self) -> None:
        returncode = self._child.returncode if self._child is not None else None
        self._fail(child_process.describe_exit(returncode))

    def _on_hang(self, reason: str) -> None:
        self._fail(f"it hung: {reason}")

    def _fail(self, reason: str, *, report: bool = True) -> None:
        """Fail every stream and question now, and end the process if it still lives."""
        if self.failure is not None:
            return
        self.failure = reason
        self._resume()
        if self._heartbeat is not None:
            self._heartbeat.stop()
        self._beats.close()
        self._connection.close()
        if report and self._child is not None:
            self._child.signal(child_process.KILL)
        self._end_load(failures.not_loaded(self._name, reason))
        self._pending.fail_all(lambda: failures.lost(reason))
        if report:
            watchers, self._watchers = self._watchers, []
            for watcher in watchers:
                watcher(reason)

    def _end_load(self, error: GatewayError) -> None:
        for future in (self._hello, self._ready):
            if not future.done():
                future.set_exception(error)
                future.exception()  # there may be no caller left to await it

    # --- idleness: an engine may burn a share of a core waiting; a stopped one burns nothing

    def _ping(self, ping: frames.Ping) -> None:
        now = asyncio.get_running_loop().time()
        after = self._options.suspend_after
        if self._pending or not self._ready.done():
            self._used = now
        elif after is not None and now - self._used >= after and self._child is not None:
            self._suspended = True
            if self._heartbeat is not None:
                self._heartbeat.stop()
            self._child.signal(signal.SIGSTOP)
            return
        self._beats.send(ping)

    def _resume(self) -> None:
        if self._suspended and self._child is not None:
            self._suspended = False
            self._child.signal(signal.SIGCONT)
            if self._heartbeat is not None:
                self._heartbeat.resume()

    # --- requests

    @property
    def _context(self) -> int:
        return self.info.context_length

    async def _question(self, make: Callable[[int], ToHost]) -> Any:
        number, answer = self._pending.question()
        try:
            return await self._ask(number, make(number), answer)
        finally:
            self._pending.forget(number)

    async def _ask(self, number: int, message: ToHost, answer: asyncio.Future[Any]) -> Any:
        if self.failure is not None:
            raise failures.gone(self.failure)
        if self._suspended:
            self._resume()
        try:
            self._connection.send(message)
            return await answer
        except asyncio.CancelledError:
            self._connection.send(frames.Cancel(number))
            raise
        except frames.BadFrameError as error:
            raise EngineFailed(f"The request is too large for the engine: {error}.") from error
        except OverflowError as error:
            raise InvalidRequest("A number in the request is beyond 64 bits.") from error

    def _drop(self, number: int) -> None:
        if self._pending.forget(number):
            self._connection.send(frames.Cancel(number))


async def launch(name: str, options: HostOptions, spec: ModelSpec, path: Path | None, report: Report) -> HostedModel:
    """Load ``spec`` in a new host process. Raises LoadFailed, with the process ended; cancelling ends it likewise.

    Call it on the main thread: the host dies with the thread that started it.
    """
    model = HostedModel(name, options)
    await model.load(spec, path, report)
    return model


class _Beats:
    """The receiver of the connection for pongs. Its end is ignored: the other connection ends as well."""

    def __init__(self, model: HostedModel) -> None:
        self.receive = model.receive
        self.broken = model.broken

    def lost(self) -> None:
        pass


__all__ = ("HostOptions", "HostedModel", "launch")

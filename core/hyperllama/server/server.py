"""The asyncio entry point: sockets bound first, requests through the guard, and a shutdown of bounded length.

While it drains the gateway keeps listening, so that probes hear "not ready" and new work is refused in its own dialect
with ``connection: close``. The sockets close when the requests that were running at the signal are done.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import functools
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Awaitable, Callable, Generator, Sequence
from typing import Any, cast

import uvicorn
from litestar.enums import ScopeType
from litestar.types import ASGIApp, Receive, Scope, Send

from hyperllama.config import Config
from hyperllama.errors import ConfigError
from hyperllama.server.bounds import Bounds
from hyperllama.server.guard import Guard, within_descriptors
from hyperllama.server.protocol import GuardedProtocol
from hyperllama.server.shutdown import Shutdown

ABORT_GRACE = 1.5  # seconds for streams to end with the error that ``abort`` gave them
CANCEL_GRACE = 0.3
STOP_GRACE = 4.5  # after the drain, for all of that and for the application's own end
FORCED_GRACE = 1.5  # the same after a second signal
BACKLOG = 2048
UNSENT_BYTES = 128 * 1024  # in the kernel, for one reader

OnListening = Callable[[str, int], None]


async def serve(
    app: ASGIApp,
    config: Config,
    *,
    on_listening: OnListening,
    drain: Shutdown | None = None,
    abort: Callable[[], None] | None = None,
    on_reload: Callable[[], None] | None = None,
    guard: Guard | None = None,
) -> None:
    """Serve ``app`` until SIGTERM or SIGINT, and return within ``drain_timeout`` and five seconds of it.

    ``on_listening`` gets the address once connections are answered. ``abort`` is called when the drain's time is up
    and must make running streams end. A second signal ends everything within two seconds. Signals are handled on the
    main thread only; elsewhere ``drain.begin`` does what they do. SIGHUP calls ``on_reload`` and never ends the
    process, from here to its end. Prints nothing.
    Raises ConfigError when the address cannot be had, and what the application's lifespan raises.
    """
    server = config.server
    drain = drain or Shutdown()
    sockets = bind(server.host, server.port)
    if guard is None:
        guard = Guard(within_descriptors(Bounds.of(server)))
    lifespan = _Lifespan(app)
    settings = uvicorn.Config(
        lifespan,
        interface="asgi3",
        http=cast("type[asyncio.Protocol]", functools.partial(GuardedProtocol, guard=guard)),
        ws="none",
        lifespan="on",
        log_config=None,
        log_level="warning",
        access_log=False,
        proxy_headers=False,
        server_header=False,
        backlog=BACKLOG,
    )
    runner = _Server(settings, guard, drain, drain_timeout=server.drain_timeout, abort=abort)
    runner.announce = lambda: on_listening(*_name(sockets[0]))
    with _signals(drain, on_reload, server.drain_timeout):
        try:
            await runner.serve(sockets=sockets)
        except SystemExit:
            pass  # uvicorn's way of saying that the lifespan failed
        finally:
            guard.stop()
            for each in sockets:
                each.close()
    if lifespan.error is not None:
        raise lifespan.error
    if not runner.started:
        raise RuntimeError("the application did not start")


def bind(host: str, port: int) -> list[socket.socket]:
    """Bind a socket for each address of ``host``, all on one port; 0: a free one. Raises ConfigError."""
    try:
        found = socket.getaddrinfo(host or "0.0.0.0", port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)  # noqa: S104
    except OSError as error:
        raise ConfigError(f"server.host: {host!r} is not an address of this machine: {error.strerror}.") from error
    sockets: list[socket.socket] = []
    try:
        for family, kind, protocol, _, address in dict.fromkeys(found):
            one = socket.socket(family, kind, protocol)
            sockets.append(one)
            _bind(one, family, host, port or (sockets[0].getsockname()[1] if len(sockets) > 1 else 0), address)
    except OSError as error:
        for one in sockets:
            one.close()
        raise ConfigError(_why(error, host, port)) from error
    return sockets


def _bind(one: socket.socket, family: int, host: str, port: int, address: tuple[Any, ...]) -> None:
    one.setblocking(False)
    one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if family == socket.AF_INET6:
        one.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0 if host == "::" else 1)
    with contextlib.suppress(AttributeError, OSError):  # Linux; accepted connections inherit it
        one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, UNSENT_BYTES)
    one.bind((address[0], port, *address[2:]))


def _why(error: OSError, host: str, port: int) -> str:
    shown = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    match error.errno:
        case errno.EADDRINUSE:
            return (
                f"server.port: {shown} is in use; stop the program that has it, "
                "or choose another server.port, 0 for a free one."
            )
        case errno.EACCES:
            return f"server.port: This user may not listen on {shown}; choose a port from 1024 on."
        case errno.EADDRNOTAVAIL:
            return f"server.host: {host} is not an address of this machine."
        case _:
            return f"server.host: Cannot listen on {shown}: {error.strerror}."


def _name(one: socket.socket) -> tuple[str, int]:
    address = one.getsockname()
    return str(address[0]), int(address[1])


class _Lifespan:
    """A wrapper that keeps the error of the application's lifespan, which uvicorn only logs."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self.error: BaseException | None = None

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        if scope["type"] == ScopeType.HTTP:
            return self._app(scope, receive, send)
        return self._live(scope, receive, send)

    async def _live(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await self._app(scope, receive, send)
        except BaseException as error:
            self.error = error
            raise


class _Server(uvicorn.Server):
    """uvicorn's server with signal handling and shutdown of our own."""

    def __init__(
        self,
        settings: uvicorn.Config,
        guard: Guard,
        drain: Shutdown,
        *,
        drain_timeout: float,
        abort: Callable[[], None] | None,
    ) -> None:
        super().__init__(settings)
        self.server_state.tasks = drain.tasks
        self.announce: Callable[[], None] = lambda: None
        self._guard = guard
        self._drain = drain
        self._drain_timeout = drain_timeout
        self._abort = abort
        self._end = 0.0  # on the loop's clock, when all must be over

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        yield

    async def main_loop(self) -> None:
        loop = asyncio.get_running_loop()
        await self.on_tick(0)
        clock = loop.create_task(self._clock())
        self._guard.start(loop)
        self.announce()
        try:
            await self._drain.event.wait()
            self._end = loop.time() + self._drain_timeout + STOP_GRACE
            await self._finish()
        finally:
            clock.cancel()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        for server in self.servers:
            server.close()
        for connection in tuple(self.server_state.connections):
            connection.shutdown()
        loop = asyncio.get_running_loop()
        # What is written and not yet taken still belongs to an answer.
        await self._until(self._guard.vacant(), max(0.5, self._end - STOP_GRACE - loop.time()))
        forced = self._drain.forced.is_set()
        for connection in tuple(self.server_state.connections):
            connection.transport.abort()
        left = FORCED_GRACE / 2 if forced else max(1.0, self._end - loop.time())
        try:
            async with asyncio.timeout(left):
                await self.lifespan.shutdown()
        except TimeoutError:
            _complain("the application did not stop in time")

    async def _clock(self) -> None:
        """Update the Date header each second."""
        while True:
            await asyncio.sleep(1.0)
            await self.on_tick(0)

    async def _finish(self) -> None:
        """End the requests that were running at the signal: by themselves, then with an error, then by force."""
        self._guard.closing = True
        running = set(self.server_state.tasks)
        for connection in tuple(self.server_state.connections):
            cast("GuardedProtocol", connection).close_when_answered()
        await self._settle(running, self._drain_timeout)
        if any(not task.done() for task in running):
            if self._abort is not None:
                self._abort()
                await self._settle(running, CANCEL_GRACE if self._drain.forced.is_set() else ABORT_GRACE, forced=True)
            for task in running:
                task.cancel()
            await self._settle(running, CANCEL_GRACE, forced=True)

    async def _settle(self, tasks: set[asyncio.Task[None]], seconds: float, *, forced: bool = False) -> None:
        """Wait until ``tasks`` are done, ``seconds`` are over, or (unless ``forced``) the second signal comes."""
        if running := {task for task in tasks if not task.done()}:
            await self._until(asyncio.ensure_future(asyncio.wait(running)), seconds, forced=forced)

    async def _until(self, happened: asyncio.Future[Any], seconds: float, *, forced: bool = False) -> None:
        force = asyncio.ensure_future(self._drain.forced.wait())
        try:
            await asyncio.wait(
                {happened} if forced else {happened, force}, timeout=seconds, return_when=asyncio.FIRST_COMPLETED
            )
        finally:
            happened.cancel()
            force.cancel()


@contextlib.contextmanager
def _signals(
    drain: Shutdown, on_reload: Callable[[], None] | None, drain_timeout: float
) -> Generator[None, None, None]:
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    loop = asyncio.get_running_loop()

    def stop() -> None:
        # Should something on the way out never give way, the process still ends when it promised.
        if drain.draining:
            _end_process_after(FORCED_GRACE, 1)
        else:
            _end_process_after(drain_timeout + STOP_GRACE + 0.3, 0)
        drain.begin()

    numbers: Sequence[int] = (signal.SIGTERM, signal.SIGINT)
    for number in numbers:
        loop.add_signal_handler(number, stop)

    def hang_up(*_: object) -> None:
        with contextlib.suppress(RuntimeError):  # the loop is closed: the gateway has ended
            loop.call_soon_threadsafe(on_reload or (lambda: None))

    # Not the loop's own handler, which would leave the signal deadly before and after it. It stays: a late one must
    # not kill what is ending well.
    signal.signal(signal.SIGHUP, hang_up)
    try:
        yield
    finally:
        if not drain.draining:  # otherwise a late signal would kill what is ending well
            for number in numbers:
                loop.remove_signal_handler(number)


def _end_process_after(seconds: float, code: int) -> None:
    def wait() -> None:
        time.sleep(seconds)
        _complain("something did not stop in time; the process ends now")
        os._exit(code)

    threading.Thread(target=wait, name="last-resort", daemon=True).start()


def _complain(what: str) -> None:
    with contextlib.suppress(OSError, ValueError):
        print(f"hyperllama-gateway: {what}", file=sys.stderr, flush=True)


__all__ = ("bind", "serve")

"""An HTTP client that gives up on a Hub that is silent or too slow. Import it where it is needed."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any, TypeVar

import httpcore
import httpx

T = TypeVar("T")

MIN_RATE = 4096  # bytes a second, on average over one time-out
WORTH = 256 * 1024  # bytes of a connection that broke after which another goes on from there
_ENDLESS = float("inf")


class HubTimeout(TimeoutError):
    """A request that was given up. The Hub's client retries errors of httpx for long; this one it passes on."""


class Deadline(threading.local):
    """The instants, of this thread's clock, after which it waits for the Hub no longer."""

    def __init__(self) -> None:
        self.step = _ENDLESS  # of the answer's head, or of the next piece of its body
        self.whole = _ENDLESS

    @property
    def left(self) -> float:
        """The seconds until the earlier one."""
        return min(self.step, self.whole) - time.monotonic()

    @contextlib.contextmanager
    def within(self, seconds: float) -> Iterator[None]:
        """Bound all waiting in the block together."""
        self.whole = time.monotonic() + seconds
        try:
            yield
        finally:
            self.whole = _ENDLESS


class _Connection(httpcore.NetworkStream):
    """A connection whose waits end at the deadline, however many small pieces come before."""

    def __init__(self, stream: httpcore.NetworkStream, deadline: Deadline) -> None:
        self._stream = stream
        self._deadline = deadline

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return self._stream.read(max_bytes, self._bounded(timeout, httpcore.ReadTimeout))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._stream.write(buffer, timeout)

    def close(self) -> None:
        self._stream.close()

    def start_tls(
        self, ssl_context: Any, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        seconds = self._bounded(timeout, httpcore.ConnectTimeout)
        begin = self._stream.start_tls
        stream = _within(seconds, lambda: begin(ssl_context, server_hostname, seconds), self._stream.close)
        return _Connection(stream, self._deadline)

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)

    def _bounded(self, timeout: float | None, late: type[Exception]) -> float:
        left = self._deadline.left
        if left <= 0:
            raise late("the deadline is over")
        return min(left, timeout or left)


class _Network(httpcore.NetworkBackend):
    """Connections with a deadline, the look-up of names and all addresses of one included."""

    def __init__(self, network: httpcore.NetworkBackend, deadline: Deadline) -> None:
        self._network = network
        self._deadline = deadline

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.NetworkStream:
        seconds = min(self._deadline.left, timeout or _ENDLESS)
        if seconds <= 0:
            raise httpcore.ConnectTimeout("the deadline is over")
        connect = self._network.connect_tcp
        stream = _within(seconds, lambda: connect(host, port, seconds, local_address, socket_options))
        return _Connection(stream, self._deadline)


class PacedStream(httpx.SyncByteStream):
    """The body of an answer. Iterating raises a time-out when less than ``MIN_RATE`` comes.

    Only the time spent waiting counts, not what the reader does between two pieces.
    """

    def __init__(self, stream: httpx.SyncByteStream, timeout: float, deadline: Deadline) -> None:
        """``timeout``: seconds over which the rate is measured."""
        self._stream = stream
        self._timeout = timeout
        self._deadline = deadline
        self.download = False  # True: a time-out is the end of it, and is not to be retried

    def __iter__(self) -> Iterator[bytes]:
        pieces = iter(self._stream)
        waited, received, total = 0.0, 0, 0
        while True:
            began = time.monotonic()
            enough = received >= MIN_RATE * self._timeout
            self._deadline.step = began + (self._timeout if enough else max(0.0, self._timeout - waited))
            try:
                piece = next(pieces)
            except StopIteration:
                return
            except httpx.TransportError as error:
                if self.download and (isinstance(error, httpx.TimeoutException) or total < WORTH):
                    raise HubTimeout("the Hub sends too slowly, or breaks off") from error
                raise
            finally:
                self._deadline.step = _ENDLESS
            waited += time.monotonic() - began
            received += len(piece)
            total += len(piece)
            if waited >= self._timeout and received >= MIN_RATE * waited:
                waited, received = 0.0, 0
            yield piece

    def close(self) -> None:
        self._stream.close()


class PacedClient(httpx.Client):
    """A client whose requests have ``timeout`` seconds to the end of the answer's head, redirects included."""

    def __init__(self, timeout: float, deadline: Deadline, **options: Any) -> None:
        super().__init__(timeout=httpx.Timeout(timeout), **options)
        self._seconds = timeout
        self._waits = deadline
        for transport in (self._transport, *self._mounts.values()):
            pool = getattr(transport, "_pool", None)
            if pool is not None:
                pool._network_backend = _Network(pool._network_backend, deadline)  # noqa: SLF001 - it has no setter

    def send(self, request: httpx.Request, *, stream: bool = False, **options: Any) -> httpx.Response:
        # An upload's answer comes when the Hub has stored it, which takes it longer than any other.
        sends = request.method not in ("GET", "HEAD")
        self._waits.step = time.monotonic() + self._seconds * (10 if sends else 1)
        try:
            response = super().send(request, stream=True, **options)
        except httpx.TransportError as error:
            if stream or request.method == "HEAD":
                raise HubTimeout("the Hub does not answer") from error
            raise
        finally:
            self._waits.step = _ENDLESS
        if isinstance(response.stream, httpx.SyncByteStream):
            paced = PacedStream(response.stream, self._seconds, self._waits)
            paced.download = stream
            response.stream = paced
        if response.status_code == 429 or response.status_code >= 500:
            # huggingface_hub would sleep here, for as long as the Hub says.
            response.headers.pop("retry-after", None)
            response.headers.pop("ratelimit", None)
            if stream or request.method == "HEAD":
                response.close()
                raise HubTimeout(f"the Hub answered {response.status_code}")
        if not stream:
            try:
                response.read()
            except BaseException:
                response.close()
                raise
        return response


class PacedClients:
    """The client factory of huggingface_hub. ``paced``: its time-out, by which others know it."""

    def __init__(self, timeout: float, default: Callable[[], httpx.Client]) -> None:
        """``timeout``: seconds for every silence, and of the least rate for every body. ``default`` makes a client."""
        self.paced = timeout
        self._default = default
        self.deadline = Deadline()

    def __call__(self) -> httpx.Client:
        with self._default() as given:
            hooks, follows = given.event_hooks, given.follow_redirects
        return PacedClient(self.paced, self.deadline, event_hooks=hooks, follow_redirects=follows)


def _within(seconds: float, call: Callable[[], T], late: Callable[[], None] | None = None) -> T:
    """Return what ``call`` returns in a thread of its own. Raise ConnectTimeout, after ``late()``, in ``seconds``."""
    results: list[T] = []
    errors: list[Exception] = []
    over = False
    handing = threading.Lock()

    def run() -> None:
        try:
            result = call()
        except Exception as error:  # noqa: BLE001 - the caller raises it
            errors.append(error)
            return
        with handing:
            if not over:
                results.append(result)
                return
        result.close()  # type: ignore[attr-defined]

    thread = threading.Thread(target=run, name="hub-connect", daemon=True)
    thread.start()
    thread.join(max(0.0, min(seconds, threading.TIMEOUT_MAX)))
    with handing:
        over = not results and not errors
    if results:
        return results[0]
    if errors:
        raise errors[0]
    if late is not None:
        late()
    raise httpcore.ConnectTimeout("the Hub cannot be reached")


__all__ = ("MIN_RATE", "Deadline", "HubTimeout", "PacedClient", "PacedClients", "PacedStream")

"""The gateway's ends of a host's two connections: bytes to messages, as little as can be before the queues."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from typing import Protocol, cast

from hyperllama.host import frames
from hyperllama.host.frames import FromHost, ToHost


class Receiver(Protocol):
    """The owner of a connection."""

    def receive(self, message: ToHost | FromHost) -> None:
        """Take one message."""
        ...

    def broken(self, reason: str) -> None:
        """Give the host up: its bytes cannot be understood."""
        ...

    def lost(self) -> None:
        """Take note that the connection ended."""
        ...


class Connection(asyncio.Protocol):
    """A connection to a host. Frames are sent with ``send``, which does nothing once it is closed."""

    def __init__(self, receiver: Receiver) -> None:
        self._receiver = receiver
        self._reader = frames.Reader("gateway")
        self._encode = frames.encoder()
        self._transport: asyncio.Transport | None = None

    def send(self, message: ToHost) -> None:
        """Write a frame. Raises BadFrameError when it is over the cap, OverflowError for a number beyond 64 bits."""
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(self._encode(message))

    def close(self) -> None:
        """Close when all is written."""
        if self._transport is not None:
            self._transport.close()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        try:
            messages = self._reader.feed(data)
        except frames.BadFrameError as error:
            self._receiver.broken(f"it broke the protocol: {error}")
            return
        receive: Callable[[ToHost | FromHost], None] = self._receiver.receive
        for message in messages:
            receive(message)

    def connection_lost(self, exc: Exception | None) -> None:
        with contextlib.suppress(RuntimeError):  # the event loop is closed
            self._receiver.lost()


__all__ = ("Connection", "Receiver")

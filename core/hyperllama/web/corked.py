"""A transport for one answer: its head leaves together with the first of its body."""

from __future__ import annotations

import asyncio

_INTERIM = b"HTTP/1.1 1"  # 100 Continue: its client waits for it, and the answer's head comes later


class Corked:
    """What uvicorn's cycle writes. The first write waits for the second, to the end of the loop's turn at most.

    Two system calls, and two times that the reader is woken, are a good part of what a short answer costs.
    """

    __slots__ = ("_held", "_open", "_transport")

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport = transport
        self._held = b""
        self._open = False  # nothing is held any more

    def write(self, data: bytes) -> None:
        if self._open or data.startswith(_INTERIM):
            self._transport.write(data)
        elif self._held:
            self._open = True
            self._transport.write(self._held + data)
        else:
            self._held = data
            asyncio.get_running_loop().call_soon(self._flush)

    def close(self) -> None:
        self._flush()
        self._transport.close()

    def is_closing(self) -> bool:
        return self._transport.is_closing()

    def _flush(self) -> None:
        if self._held and not self._open:
            self._open = True
            if not self._transport.is_closing():  # the client may have left in this very turn
                self._transport.write(self._held)


__all__ = ("Corked",)

"""A direct way for pieces of an answer to the server, past the layers around the route."""

from __future__ import annotations

from typing import Protocol

#: The ASGI extension under which a server offers an :class:`Outlet`.
OUTLET = "hyperllama.outlet"


class Outlet(Protocol):
    """The server's way in for pieces of an answer that has begun, past the ``send`` of every layer around the route."""

    @property
    def lags(self) -> bool:
        """True while the client reads too slowly: ``await send`` instead of writing a piece."""
        ...

    @property
    def keep_alive(self) -> float:
        """Seconds without an event after which an event stream gets a comment; 0: never."""
        ...

    def write_piece(self, body: bytes) -> None: ...


__all__ = ("OUTLET", "Outlet")

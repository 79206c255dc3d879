"""Files at addresses that a client wrote: fetched only from hosts that the operator named, and only over the internet.

One parser reads a URL, for the check and for the fetch alike. A name is looked up once and the connection goes to the
address that was checked, so a second answer of the resolver changes nothing. No proxy, no credentials, no cookies.
"""

from __future__ import annotations

import asyncio
import re
import socket
import ssl
from collections.abc import Awaitable, Callable, Sequence
from typing import NamedTuple, TypeAlias
from urllib.parse import urljoin

import httptools

from hyperllama.system.network import is_public

TIMEOUT = 5.0  # seconds for everything, redirects included
REDIRECTS = 3
AT_ONCE = 16  # fetches of all requests together
_HEAD = 32 * 1024  # bytes of a response head
_PIECE = 64 * 1024
_URL = re.compile(
    r"https://(?P<host>[a-z0-9](?:[a-z0-9-]{0,62})(?:\.[a-z0-9][a-z0-9-]{0,62})*\.[a-z][a-z0-9-]{0,62})(?::443)?"
    r"(?P<target>[/?](?:[!$%&'()*+,./0-9:;=?@A-Z_a-z~\[\]|-]*))?(?:#[!-~]*)?",
    re.ASCII | re.IGNORECASE,
)

Resolve: TypeAlias = Callable[[str], Awaitable[Sequence[str]]]
Dial: TypeAlias = Callable[[str, str], Awaitable[tuple[asyncio.StreamReader, asyncio.StreamWriter]]]


class NotFetched(Exception):
    """A failed fetch. Its text reveals nothing of the network around the gateway to the client."""


class Fetcher:
    """A client for ``hosts``: ``cdn.example.com`` itself, ``.example.com`` its subdomains; none: nothing is fetched."""

    def __init__(self, hosts: Sequence[str] = (), *, resolve: Resolve | None = None, dial: Dial | None = None) -> None:
        self._hosts = tuple(host.lower() for host in hosts)
        self._resolve = resolve or _resolve
        self._dial = dial or _dial
        self._places = asyncio.Semaphore(AT_ONCE)

    def __bool__(self) -> bool:
        """Return True if there is any host to fetch from."""
        return bool(self._hosts)

    async def fetch(self, url: str, *, max_bytes: int) -> bytes:
        """Return the body at ``url``. Raises NotFetched, also for more than ``max_bytes``."""
        try:
            async with self._places, asyncio.timeout(TIMEOUT):
                for _ in range(REDIRECTS + 1):
                    answer = await self._get(url, max_bytes)
                    if answer.location is None:
                        return bytes(answer.body)
                    url = urljoin(url, answer.location)
        except TimeoutError as error:
            raise NotFetched("it did not come in time") from error
        except (OSError, ssl.SSLError, httptools.HttpParserError) as error:
            raise NotFetched("it could not be fetched") from error
        raise NotFetched("it redirects too often")

    async def _get(self, url: str, max_bytes: int) -> _Answer:
        host, target = self._judge(url)
        address = await self._address(host)
        reader, writer = await self._dial(address, host)
        answer = _Answer(max_bytes)
        try:
            writer.write(
                f"GET {target} HTTP/1.1\r\nHost: {host}\r\nAccept: */*\r\nAccept-Encoding: identity\r\n"
                "User-Agent: hyperllama-gateway\r\nConnection: close\r\n\r\n".encode("ascii")
            )
            while not answer.done and (piece := await reader.read(_PIECE)):
                answer.feed(piece)
        finally:
            writer.transport.abort()
        answer.check()
        return answer

    def _judge(self, url: str) -> _Place:
        found = _URL.fullmatch(url)
        if found is None:
            raise NotFetched("only https URLs of named hosts can be fetched, without a port or a user")
        host = found["host"].lower()
        if not any(host == name or (name.startswith(".") and host.endswith(name)) for name in self._hosts):
            raise NotFetched("this server fetches nothing from that host")
        target = found["target"] or "/"
        return _Place(host, target if target.startswith("/") else f"/{target}")

    async def _address(self, host: str) -> str:
        """Return the address to connect to. Raises NotFetched if any address of ``host`` is not public."""
        found = await self._resolve(host)
        if not found or not all(map(is_public, found)):
            raise NotFetched("this server fetches nothing from that host")
        return found[0]


class _Place(NamedTuple):
    host: str
    target: str


class _Answer:
    """One answer, gathered by the callbacks of httptools within bounds."""

    def __init__(self, max_bytes: int) -> None:
        self.body = bytearray()
        self.location: str | None = None
        self.done = False
        self._max_bytes = max_bytes
        self._parser = httptools.HttpResponseParser(self)
        self._head = 0
        self._body_begun = False
        self._length: int | None = None
        self._chunked = False

    def feed(self, piece: bytes) -> None:
        if not self._body_begun:
            self._head += len(piece)
            if self._head > _HEAD + _PIECE:
                raise NotFetched("its answer is not one that can be read")
        try:
            self._parser.feed_data(piece)
        except httptools.HttpParserCallbackError as error:
            if isinstance(error.__context__, NotFetched):
                raise error.__context__ from None
            raise

    def check(self) -> None:
        """Raise NotFetched for an incomplete answer. A body of undeclared length ends with its connection."""
        if self.location is not None:
            return
        measured = self._length is not None or self._chunked
        if not self._body_begun or (measured and not self.done):
            raise NotFetched("it ended before it was whole")

    def on_header(self, name: bytes, value: bytes) -> None:
        match name.lower():
            case b"location":
                self.location = value.decode("latin-1")
            case b"content-length":
                self._length = int(value)
            case b"transfer-encoding":
                self._chunked = True
            case b"content-encoding" if value.strip().lower() not in (b"", b"identity"):
                raise NotFetched("it came compressed, which was not asked for")

    def on_headers_complete(self) -> None:
        self._body_begun = True
        status = self._parser.get_status_code()
        if status not in (301, 302, 303, 307, 308):
            self.location = None
            if status != 200:
                raise NotFetched(f"its server answered with status {status}")
        elif self.location is None:
            raise NotFetched("its server redirects to nowhere")
        else:
            self.done = True
        if (self._length or 0) > self._max_bytes:
            raise NotFetched(f"it is over {self._max_bytes} bytes")

    def on_body(self, body: bytes) -> None:
        if len(self.body) + len(body) > self._max_bytes:
            raise NotFetched(f"it is over {self._max_bytes} bytes")
        self.body += body

    def on_message_complete(self) -> None:
        self.done = True


async def _resolve(host: str) -> Sequence[str]:
    found = await asyncio.get_running_loop().getaddrinfo(host, 443, type=socket.SOCK_STREAM)
    return [str(entry[4][0]) for entry in found]


async def _dial(address: str, host: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    return await asyncio.open_connection(address, 443, ssl=ssl.create_default_context(), server_hostname=host)


__all__ = ("Fetcher", "NotFetched")

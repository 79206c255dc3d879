"""URLs that clients write, or that allowed hosts redirect to: none of them reaches this machine."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from socket import AF_INET6, create_server
from typing import Any

import pytest

from hyperllama.web import fetch as remote
from hyperllama.web.fetch import Fetcher, NotFetched
from tests.support.corpus import HOST, spellings
from tests.support.live import chat

PUBLIC = "93.184.215.14"
#: Patterns under which nearly every name of the corpus is allowed, so that only its address can be refused.
CARELESS = (".example.com", ".nip.io", ".evil.net", ".internal", ".localdomain", ".localhost")
EYES = """
[models.eyes]
engine = "sim"
[models.eyes.options]
capabilities = ["completion", "vision"]
[plugins]
enabled = ["sim", "openai", "anthropic"]
"""


@pytest.fixture
async def canary() -> AsyncIterator[tuple[int, Callable[[], int]]]:
    """A port of this machine on which nobody may knock."""
    knocked: list[object] = []

    async def heard(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        knocked.append(writer.get_extra_info("peername"))
        writer.close()

    server = await asyncio.start_server(heard, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with server:
        yield port, lambda: len(knocked)


async def test_s09_no_spelling_of_a_url_reaches_this_machine(canary: tuple[int, Callable[[], int]], bar: Any) -> None:
    port, knocks = canary
    tried = spellings(port)
    assert len(tried) > 60

    async def resolve(host: str) -> Sequence[str]:
        return ["127.0.0.1"]

    async def dial(address: str, host: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        return await asyncio.open_connection("127.0.0.1", port)

    for hosts in ((HOST,), CARELESS):
        fetcher = Fetcher(hosts, resolve=resolve, dial=dial)
        for url in tried:
            with pytest.raises(NotFetched):
                await fetcher.fetch(url, max_bytes=10)
    assert knocks() == 0
    careless = Fetcher((HOST,), resolve=lambda _: asyncio.sleep(0, [PUBLIC]), dial=dial)
    with pytest.raises(NotFetched):
        await careless.fetch(f"https://{HOST}/", max_bytes=10)
    assert knocks() == 1, "the canary hears who does knock"
    bar.record(f"{len(tried)} spellings reach it 0 times", rounds=2 * len(tried))


async def test_s09_no_redirect_of_an_allowed_host_reaches_this_machine(
    canary: tuple[int, Callable[[], int]], bar: Any
) -> None:
    port, knocks = canary
    told, heads = "", 0

    async def redirects(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal heads
        await reader.readuntil(b"\r\n\r\n")
        heads += 1
        writer.write(f"HTTP/1.1 302 Found\r\nLocation: {told}\r\nContent-Length: 0\r\n\r\n".encode())
        await writer.drain()
        writer.close()

    async def resolve(host: str) -> Sequence[str]:
        return [PUBLIC if host == HOST else "127.0.0.1"]

    tried = [url for url in spellings(port) if url.isascii() and url.isprintable()]
    async with await asyncio.start_server(redirects, "127.0.0.1", 0) as server:
        elsewhere = server.sockets[0].getsockname()[1]

        async def dial(address: str, host: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
            return await asyncio.open_connection("127.0.0.1", elsewhere if address == PUBLIC else port)

        fetcher = Fetcher((HOST, *CARELESS), resolve=resolve, dial=dial)
        for told in tried:  # noqa: B007 - the server says it
            with pytest.raises(NotFetched):
                await fetcher.fetch(f"https://{HOST}/a.png", max_bytes=10)
    assert heads >= len(tried), "the host that redirects was asked"
    assert knocks() == 0
    bar.record(f"{len(tried)} redirects 0 times", rounds=len(tried))


class Canaries:
    """Ports of this machine, by both its families, on which nobody may knock; heard by threads of their own."""

    def __init__(self) -> None:
        self.knocks = 0
        self._servers = [create_server(("127.0.0.1", 0))]
        self.port = self._servers[0].getsockname()[1]
        with contextlib.suppress(OSError):  # a machine without IPv6
            self._servers.append(create_server(("::1", self.port), family=AF_INET6))
        for server in self._servers:
            threading.Thread(target=self._hear, args=(server,), daemon=True).start()

    def _hear(self, server: Any) -> None:
        while True:
            try:
                client, _ = server.accept()
            except OSError:
                return
            self.knocks += 1
            client.close()

    def close(self) -> None:
        for server in self._servers:
            server.close()


@pytest.fixture
def canaries() -> Iterator[Canaries]:
    found = Canaries()
    yield found
    found.close()


def sent(live: Any, url: str) -> list[int]:
    """What a chat with an image at ``url`` is answered with, in both dialects that have images by URL."""
    image = {"type": "image_url", "image_url": {"url": url}}
    theirs = {"type": "image", "source": {"type": "url", "url": url}}
    asked = ((image, "/v1/chat/completions"), (theirs, "/v1/messages"))
    return [
        live.ask(path, {**chat("eyes", stream=False, max_tokens=1), "messages": [{"role": "user", "content": [part]}]})[
            0
        ]
        for part, path in asked
    ]


def test_s09_no_image_of_a_request_is_fetched_from_this_machine(
    serving: Any, bar: Any, canaries: Canaries, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked_up: list[str] = []
    addresses = ["127.0.0.1", "::1"]

    async def resolve(host: str) -> Sequence[str]:
        looked_up.append(host)
        return addresses

    async def dial(address: str, host: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        return await asyncio.open_connection("127.0.0.1" if address == PUBLIC else address, canaries.port)

    monkeypatch.setattr(remote, "_resolve", resolve)
    monkeypatch.setattr(remote, "_dial", dial)
    tried = spellings(canaries.port)
    default = serving(EYES)
    assert {status for url in (*tried, f"https://{HOST}/") for status in sent(default, url)} == {400}
    assert (looked_up, canaries.knocks) == ([], 0), "by default nothing is even looked up"
    allowing = serving(f"[server]\nimage_hosts = {[HOST, *CARELESS]!r}\n{EYES}")
    assert {status for url in (*tried, f"https://{HOST}/") for status in sent(allowing, url)} == {400}
    assert HOST in looked_up
    assert canaries.knocks == 0
    addresses[:] = [PUBLIC]
    assert sent(allowing, f"https://{HOST}/") == [400, 400]
    assert canaries.knocks == 2, "the canaries hear who does knock"
    bar.record(f"off: 0 look-ups; {len(tried)} in requests 0 times", rounds=4 * len(tried))

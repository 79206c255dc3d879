"""The address is taken before anything else happens; when it cannot be had, one clear line says why."""

from __future__ import annotations

import asyncio
import socket
from typing import Any

import pytest

from hyperllama.config import Config, Server
from hyperllama.errors import ConfigError
from hyperllama.server.server import bind, serve
from hyperllama.server.shutdown import Shutdown


async def _never(scope: Any, receive: Any, send: Any) -> None:
    raise AssertionError("the application was started")


async def test_a_port_in_use_is_named_before_the_application_starts() -> None:
    (taken,) = bind("127.0.0.1", 0)
    with taken:
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(ConfigError, match=rf"server\.port: 127\.0\.0\.1:{port} is in use"):
            await serve(_never, Config(server=Server(port=port)), on_listening=lambda *_: None)


@pytest.mark.parametrize("host", ["192.0.2.1", "no.such.host.invalid", "300.1.1.1"])
def test_a_host_of_another_machine_is_named(host: str) -> None:
    with pytest.raises(ConfigError, match=r"server\.host: .*" + host):
        bind(host, 0)


def test_every_address_of_a_name_gets_the_same_port() -> None:
    sockets = bind("localhost", 0)
    try:
        assert len({one.getsockname()[1] for one in sockets}) == 1
        assert {one.getsockname()[0] for one in sockets} <= {"127.0.0.1", "::1"}
    finally:
        for one in sockets:
            one.close()


def test_a_port_can_be_taken_again_at_once() -> None:
    (first,) = bind("127.0.0.1", 0)
    first.listen()
    port = first.getsockname()[1]
    client = socket.create_connection(("127.0.0.1", port))
    first.accept()[0].close()
    first.close()
    client.close()
    (again,) = bind("127.0.0.1", port)
    again.close()


class _Broken:
    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        await receive()
        raise ConfigError("models.x: broken")


async def test_what_the_lifespan_raises_comes_out_and_the_port_is_free_again() -> None:
    (found,) = bind("127.0.0.1", 0)
    port = found.getsockname()[1]
    found.close()
    with pytest.raises(ConfigError, match=r"models\.x: broken"):
        await serve(_Broken(), Config(server=Server(port=port)), on_listening=lambda *_: None)
    (again,) = bind("127.0.0.1", port)
    again.close()


async def test_the_address_is_told_once_requests_are_answered() -> None:
    drain = Shutdown()
    told: list[tuple[str, int]] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            await receive()
            await send({"type": "lifespan.startup.complete"})
            await receive()
            await send({"type": "lifespan.shutdown.complete"})
            return
        assert drain.inflight == 1
        await send({"type": "http.response.start", "status": 204, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    listening = asyncio.Event()

    def note(host: str, port: int) -> None:
        told.append((host, port))
        listening.set()

    running = asyncio.create_task(serve(app, Config(server=Server(port=0)), on_listening=note, drain=drain))
    await listening.wait()
    reader, writer = await asyncio.open_connection(*told[0])
    writer.write(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
    got = await reader.read()
    writer.close()
    drain.begin()
    await running
    assert told == [("127.0.0.1", told[0][1])]
    assert got.startswith(b"HTTP/1.1 204 ")
    assert b"\r\ndate: " in got
    assert b"server:" not in got
    assert drain.inflight == 0

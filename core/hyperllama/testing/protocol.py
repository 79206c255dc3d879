"""The contract of dialects, as tests: subclass, provide the protocol, run pytest.

::

    class TestMine(ProtocolContract):
        @pytest.fixture
        def protocol(self):
            return MyProtocol()

Needs pytest-asyncio and httpx.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

import pytest

from hyperllama import errors
from hyperllama.errors import GatewayError, MethodNotAllowed, RouteNotFound
from hyperllama.spi import Gateway, WireProtocol

if TYPE_CHECKING:
    import httpx
    from litestar.handlers import HTTPRouteHandler


@pytest.mark.asyncio
class ProtocolContract:
    """Override ``protocol``. It is served by the real application, alone."""

    missing: ClassVar[str] = "no-such-thing/at-all"  # beneath each prefix, a path that no route has

    @pytest.fixture
    def protocol(self) -> WireProtocol:
        raise NotImplementedError("Override the fixture 'protocol'.")

    async def test_it_has_a_name_and_prefixes_that_are_paths(self, protocol: WireProtocol) -> None:
        assert protocol.name
        assert protocol.prefixes
        assert all(prefix.startswith("/") for prefix in protocol.prefixes)

    async def test_every_route_says_who_may_use_it(self, protocol: WireProtocol) -> None:
        from hyperllama.web.routing import declared

        found = {path: declared(handler).permission for path, handler in _handlers(protocol)}
        assert found

    @pytest.mark.parametrize("kind", sorted(_name for _name in errors.__all__ if _name != "ConfigError"))
    async def test_every_error_is_spelled(self, protocol: WireProtocol, kind: str) -> None:
        error = _error(getattr(errors, kind))
        reply = protocol.error_reply(error, protocol.prefixes[0])
        assert reply.status // 100 == error.status // 100, "a dialect may have its own number, of the same kind"
        assert reply.media_type
        assert reply.body
        if reply.status < 500 and kind not in ("RouteNotFound", "MethodNotAllowed"):
            assert b"the reason is this" in reply.body, "the sentence tells the client what to do"
        for name, value in reply.headers.items():
            (name + value).encode("latin-1")
            assert "\r" not in name + value
            assert "\n" not in name + value

    @pytest.mark.parametrize("kind", ["RateLimited", "Overloaded", "ModelLoading", "Draining"])
    async def test_when_to_ask_again_is_said_in_whole_seconds_and_never_zero(
        self, protocol: WireProtocol, kind: str
    ) -> None:
        reply = protocol.error_reply(_error(getattr(errors, kind), retry_after=0.2), protocol.prefixes[0])
        seconds = {name.lower(): value for name, value in reply.headers.items()}.get("retry-after")
        assert seconds is None or int(seconds) >= 1  # None: the application adds it

    async def test_a_client_cannot_put_lines_into_headers(self, protocol: WireProtocol) -> None:
        error = GatewayError("line one\r\nset-cookie: mine\nünïcode \ud7ff", param="a\r\nb: c")
        reply = protocol.error_reply(error, "/a\r\nb: c")
        assert not any("\n" in name + value or "\r" in name + value for name, value in reply.headers.items())

    async def test_unknown_paths_and_wrong_methods_are_answered_in_its_words(
        self, protocol: WireProtocol, tmp_path: Path
    ) -> None:
        routes = [path for path, _ in _handlers(protocol)]
        async with self.client(protocol, tmp_path) as client:
            for prefix in protocol.prefixes:
                path = f"{prefix.rstrip('/')}/{self.missing}"
                answer = await client.get(path)
                expected = protocol.error_reply(RouteNotFound("not found"), path)
                assert answer.status_code == 404
                if any(route.startswith(f"{prefix.rstrip('/')}/{{") for route in routes):
                    continue  # a route takes it for a name
                assert answer.content == expected.body
                assert answer.headers["content-type"].startswith(expected.media_type)
            for path in (route for route in routes if "{" not in route):
                answer = await client.request("PROPFIND", path)  # a method that no dialect has
                assert answer.status_code == protocol.error_reply(MethodNotAllowed("", allow=()), path).status
                assert answer.content

    async def test_a_body_that_is_no_json_is_refused_in_its_words(self, protocol: WireProtocol, tmp_path: Path) -> None:
        async with self.client(protocol, tmp_path) as client:
            for path, handler in _handlers(protocol):
                if "POST" not in handler.http_methods or "{" in path:
                    continue
                answer = await client.post(path, content=b"{nonsense", headers={"content-type": "application/json"})
                assert answer.status_code < 500, f"{path} breaks on a body that is no JSON"

    @asynccontextmanager
    async def client(self, protocol: WireProtocol, store: Path) -> AsyncIterator[httpx.AsyncClient]:
        """Open a client of the real application, with this protocol alone and no model."""
        import httpx

        from hyperllama.app.application import create_app
        from hyperllama.config import Config, PluginChoice, Store

        config = Config(plugins=PluginChoice(enabled=()), store=Store(path=str(store)))
        app = create_app(config, _Plugin(protocol))
        transport = httpx.ASGITransport(
            app=app,  # type: ignore[arg-type]  # httpx does not know ASGI's TypedDicts
            raise_app_exceptions=False,
        )
        try:
            async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
                yield client
        finally:
            await app.storage.database.close()  # a route that keeps something may have opened it


class _Plugin:
    """Offers one protocol, as an installed plugin does."""

    def __init__(self, protocol: WireProtocol) -> None:
        from hyperllama.hookspecs import hookimpl

        def hyperllama_protocols() -> tuple[WireProtocol, ...]:
            return (protocol,)

        self.hyperllama_protocols = hookimpl(hyperllama_protocols)


def _error(kind: type[GatewayError], *, retry_after: float | None = None) -> GatewayError:
    if issubclass(kind, MethodNotAllowed):
        return kind("the reason is this", allow=("GET", "POST"))
    return kind("the reason is this") if retry_after is None else kind("the reason is this", retry_after=retry_after)


def _handlers(protocol: WireProtocol) -> list[tuple[str, HTTPRouteHandler]]:
    from litestar import Litestar
    from litestar.di import Provide

    from hyperllama.testing.fakes import FakeGateway
    from hyperllama.web.litestar_compat import route_handlers

    async def gateway() -> Gateway:
        return FakeGateway()

    app = Litestar(
        route_handlers=list(protocol.routes),
        dependencies={"gateway": Provide(gateway)},
        openapi_config=None,
        logging_config=None,
    )
    return list(route_handlers(app))


__all__ = ("ProtocolContract",)

"""The Ollama dialect as the gateway mounts it."""

from __future__ import annotations

from collections.abc import Sequence

from litestar import Router, route
from litestar.di import Provide
from litestar.handlers import HTTPRouteHandler
from litestar.response.base import ASGIResponse
from litestar.types import ControllerRouterHandler

from hyperllama.config import BodyLimits
from hyperllama.errors import GatewayError, MethodNotAllowed, ModelNotFound
from hyperllama.spi import ErrorReply
from hyperllama.web import GatewayRequest
from hyperllama_ollama import errors
from hyperllama_ollama.routes import account, catalog, embedding, inference, store
from hyperllama_ollama.routes.answers import BodyDecoder, Builder
from hyperllama_ollama.settings import Settings
from hyperllama_ollama.wire import ErrorText

_HOSTS = ("localhost", "127.0.0.1", "0.0.0.0")  # noqa: S104 - origins of pages, nothing is bound
_SCHEMES = ("app", "file", "tauri", "vscode-webview", "vscode-file")
#: Web pages that may call by themselves: Ollama's list.
ORIGINS: tuple[str, ...] = (
    *(f"{scheme}://{host}{port}" for host in _HOSTS for scheme in ("http", "https") for port in ("", ":*")),
    *(f"{scheme}://*" for scheme in _SCHEMES),
)


class Ollama:
    """The Ollama dialect: its routes, and errors in Ollama's words beneath its paths and those of no other dialect."""

    name = "ollama"
    prefixes = ("/api", "/")
    error_bodies = (ErrorText,)
    overridden_errors = (ModelNotFound("The reason.", model="m:cloud"),)
    origins = ORIGINS

    def __init__(self, settings: Settings, limits: BodyLimits | None = None) -> None:
        """Take ``limits``, which is ``[body]``; None: its defaults."""
        decoder = BodyDecoder(limits)
        handlers: list[HTTPRouteHandler] = [
            catalog.root,
            catalog.version_route(settings.version),
            catalog.tags,
            catalog.ps,
            catalog.show,
            *inference.Inference(Builder(), decoder).handlers,
            embedding.embed,
            embedding.embeddings,
            store.create,
            store.pull,
            store.push,
            store.copy,
            store.delete_,
            store.head_blob,
            store.post_blob,
            account.status,
            account.me,
            account.signout,
            account.delete_key,
            account.web_search,
            account.web_fetch,
            account.recommendations,
        ]
        provided = {"decoder": Provide(lambda: decoder, sync_to_thread=False)}
        self.routes: Sequence[ControllerRouterHandler] = (
            Router(path="/", route_handlers=[_options_route(handlers), *handlers], dependencies=provided),
        )

    def error_reply(self, error: GatewayError, path: str) -> ErrorReply:
        return errors.reply(error)

    def override_reply(self, error: GatewayError, path: str) -> ErrorReply | None:
        return errors.override(error, path)


def _options_route(handlers: Sequence[HTTPRouteHandler]) -> HTTPRouteHandler:
    """Return a handler of OPTIONS: beyond a browser's preflight a method that no path has.

    Mounted first, since the framework makes an answer of its own for each path that has none yet.
    """
    methods: dict[str, tuple[str, ...]] = {}
    for handler in handlers:
        for path in handler.paths:
            methods[path] = (*methods.get(path, ()), *(str(method) for method in handler.http_methods))

    @route(sorted(methods), http_method="OPTIONS", status_code=405, opt={"permission": "public"})
    async def options(request: GatewayRequest) -> ASGIResponse:
        raise MethodNotAllowed("method not allowed", allow=methods.get(request.scope["path_template"], ()))

    return options


__all__ = ("ORIGINS", "Ollama")

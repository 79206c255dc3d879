"""Parts that the handlers share: bodies read off the loop, streams that may still fail, slashes in paths."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Any, Protocol, TypeAlias, TypeVar

from litestar import Request
from litestar.di import NamedDependency
from litestar.params import SkipValidation
from litestar.response.base import ASGIResponse
from litestar.types import Receive, Scope, Send

from hyperllama.config import BodyLimits
from hyperllama.errors import GatewayError, LoadFailed, RateLimited, Unavailable
from hyperllama.stream import TokenStream
from hyperllama.web import Workers
from hyperllama_ollama import errors, paths
from hyperllama_ollama.template import Budget, TooMuchWork

T = TypeVar("T")
Decoded_co = TypeVar("Decoded_co", covariant=True)

_WAITING = 256  # large bodies that wait for the thread, and prompts that wait to be rendered
_THREAD_FROM = 32 * 1024  # bytes of a body; of many small things, reading more would be felt by other requests


class Decode(Protocol[Decoded_co]):
    """A decoder of bodies, as in :mod:`hyperllama_ollama.decode.bodies`."""

    def __call__(self, raw: bytes, *, limits: BodyLimits) -> Decoded_co: ...


class BodyDecoder:
    """Request bodies within ``[body]``. Long ones are decoded one after the other in a thread of its own, so that
    however many arrive together, the event loop competes with one thread only."""

    def __init__(self, limits: BodyLimits | None = None) -> None:
        """Take ``limits``, which is ``[body]``; None: its defaults."""
        self._limits = BodyLimits() if limits is None else limits
        self._thread = Workers("ollama-body", 1, waiting=_WAITING, refusal=_busy)

    def __deepcopy__(self, memo: object) -> BodyDecoder:
        """Return the same one: the framework copies handlers, with what they are bound to."""
        return self

    async def read(self, decode: Decode[T], raw: bytes) -> T:
        """Return what ``decode`` makes of a body. Raise what it raises, or Unavailable when too many wait."""
        if len(raw) < _THREAD_FROM:
            return decode(raw, limits=self._limits)
        return await self._thread.run(partial(decode, raw, limits=self._limits))


#: How a route handler asks Litestar for the decoder of bodies.
InjectedBodies: TypeAlias = NamedDependency[SkipValidation[BodyDecoder]]


class Builder:
    """The builder of core requests from decoded ones: small work on the loop, else in threads."""

    def __init__(self, threads: int = 2) -> None:
        """Take ``threads``: so many prompts are rendered at once, each as long as its budget allows; others wait."""
        self._threads = Workers("ollama-prompt", threads, waiting=_WAITING, refusal=_busy)

    def __deepcopy__(self, memo: object) -> Builder:
        """Return the same one: the framework copies handlers, with what they are bound to."""
        return self

    async def build(self, make: Callable[[Budget], T], raw: bytes | str) -> T:
        """Return what ``make`` returns; ``raw`` is what it has to go through: the body, or a text.

        ``make`` must have no side effects: it is begun again in a thread when it is too much work for the loop.
        Raise what it raises, or Unavailable when too many wait.
        """
        if len(raw) < _THREAD_FROM:
            try:
                return make(Budget.small())
            except TooMuchWork:
                pass
        return await self._threads.run(lambda: make(Budget()))


def _busy() -> Unavailable:
    return Unavailable("too many large requests arrive at once", retry_after=1)


def json(body: bytes, *, status: int = 200, media_type: str = errors.JSON) -> ASGIResponse:
    """Return ``body`` as an answer."""
    return ASGIResponse(body=body, status_code=status, headers={"content-type": media_type})


class Empty(ASGIResponse):
    """A status without a body, and so without a type of one."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        kept = {key: value for key, value in self.headers.items() if key != "content-type"}
        headers = [(key.encode(), value.encode()) for key, value in {**kept, "content-length": "0"}.items()]
        await send({"type": "http.response.start", "status": self.status_code, "headers": headers})
        await send({"type": "http.response.body", "body": b"", "more_body": False})


def empty(status: int = 200) -> ASGIResponse:
    """Return a status alone."""
    return Empty(status_code=status)


def one(open_: Callable[[], Awaitable[TokenStream]]) -> Callable[[], Awaitable[Sequence[TokenStream]]]:
    """Return ``open_`` as a response of several generations takes it."""

    async def start() -> Sequence[TokenStream]:
        return (await open_(),)

    return start


class OrError(ASGIResponse):
    """A reply or the error raised before it began; only that error goes out without a charset, as in Ollama."""

    def __init__(self, answer: ASGIResponse) -> None:
        super().__init__()
        self._answer = answer

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await self._answer(scope, receive, send)
        except GatewayError as error:
            scheduled = isinstance(error, Unavailable | RateLimited | LoadFailed)  # refused before the model saw it
            reply = errors.reply(error, errors.JSON if scheduled else errors.BARE_JSON)
            headers = {"content-type": reply.media_type, **reply.headers}
            refusal = ASGIResponse(body=reply.body, status_code=reply.status, headers=headers)
            await refusal(scope, receive, send)


async def before(request: Request[Any, Any, Any]) -> ASGIResponse | None:
    """Redirect a slash at the end as Ollama does; the router here would ignore it."""
    path = request.scope.get("raw_path", b"").decode("latin-1").partition("?")[0]
    target = paths.redirect(request.method, path, request.scope["query_string"].decode("latin-1"), known=bool)
    if target is None:
        return None
    return Empty(status_code=target.status, headers={"location": target.location})


__all__ = ("BodyDecoder", "Builder", "InjectedBodies", "OrError", "before", "empty", "json", "one")

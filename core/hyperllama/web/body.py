"""Request bodies as values of a dialect: parsed, counted and decoded in one place, off the event loop when large."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Mapping
from typing import Any, Generic, ParamSpec, Protocol, TypeVar

import msgspec
from litestar import Request

from hyperllama.config import BodyLimits, Server
from hyperllama.errors import InvalidRequest, Unavailable
from hyperllama.server.zstd import inflated
from hyperllama.system.executors import Workers
from hyperllama.web.counts import BodyCounter, Countable
from hyperllama.web.query import from_text
from hyperllama.web.strict_json import parse_json

T = TypeVar("T")
R = TypeVar("R")
S = TypeVar("S", bound=msgspec.Struct)
P = ParamSpec("P")

_LARGE_BYTES = 64 * 1024  # parsing and decoding more would be felt by other requests
_LARGE_COUNT = 2_000  # arrays and objects; so would many small things
_WAITING = 255  # large bodies that wait for the thread
_FORMS = frozenset({"multipart/form-data"})
_AT = re.compile(r" - at `(?:key in )?\$\.?([^`]*)`\Z")
_MISSING = re.compile(r"Object missing required field `([^`]+)`")


class Violation(msgspec.Struct, frozen=True):
    """A mismatch between a body and its type."""

    path: str  # "messages[0].role"; empty: the body itself
    missing: bool  # the field at ``path`` is required and absent
    reason: str  # msgspec's sentence: "Expected `int`, got `str`"


class BodyErrors(Protocol):
    """A dialect's refusals of bodies. Each method returns the error to raise."""

    def invalid(self, violation: Violation) -> InvalidRequest:
        """Refuse a body that is not of its type."""

    def unknown(self, field: str) -> InvalidRequest:
        """Refuse a top-level field that the type lacks."""

    def too_many(self, field: str, reason: str) -> InvalidRequest:
        """Refuse more in ``field`` than ``[body]`` allows; ``reason`` follows the field's name in a sentence."""


class ParsedBody(Generic[T]):
    """A decoded body. ``run`` does further work on it, in the thread that parsed it if it is large."""

    __slots__ = ("_reader", "large", "value")

    def __init__(self, value: T, reader: BodyReader, *, large: bool) -> None:
        self.value = value
        self.large = large
        self._reader = reader

    def grow(self, raw: bytes) -> None:
        """Take ``raw``, read from elsewhere, as part of the body: ``run`` is to work on it, too."""
        self.large = self.large or is_large(raw)

    async def run(self, function: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        """Return ``function(*args, **kwargs)``. Raise what it raises."""
        if self.large:
            return await self._reader.in_thread(lambda: function(*args, **kwargs))
        return function(*args, **kwargs)


class BodyReader:
    """The bodies of one dialect. Large ones are read one after the other in a thread of its own, so that however many
    arrive together, the event loop competes with one thread only."""

    def __init__(self, errors: BodyErrors, limits: BodyLimits | None = None) -> None:
        """Make a reader; ``limits`` is ``[body]``, None: its defaults."""
        self.limits = BodyLimits() if limits is None else limits
        self._errors = errors
        self._counters: dict[type, BodyCounter] = {}
        self._thread = Workers("request-body", 1, waiting=_WAITING, refusal=_busy)

    async def read(self, request: Request[Any, Any, Any], type_: type[S], *, strict: bool = False) -> ParsedBody[S]:
        """Return the JSON body of ``request`` as a ``type_``; ``strict`` refuses top-level fields that it lacks.

        ``type_.countable`` names the places that ``[body]`` bounds; a type without it has none.
        Raise InvalidRequest in the dialect's words, PayloadTooLarge, or Unavailable when too many bodies wait.
        """
        raw = await request.body()
        return await self.decode(raw, lambda text: self.convert(self.parse(text, type_), type_, strict=strict), request)

    async def decode(
        self, raw: bytes, decoder: Callable[[bytes], T], request: Request[Any, Any, Any] | None = None
    ) -> ParsedBody[T]:
        """Return ``decoder(raw)``, computed in the thread if ``raw`` is large. ``request`` gives its encoding.

        Of content types only form uploads are refused: curl sends JSON under another type by default.
        """
        headers = {} if request is None else request.headers
        if headers.get("content-type", "").partition(";")[0].strip().lower() in _FORMS:
            raise InvalidRequest("Unsupported Media Type: send the request as application/json.")
        if request is not None and headers.get("content-encoding", "").strip().lower() == "zstd":
            most = request.route_handler.resolve_request_max_body_size() or Server().max_body_bytes
            return ParsedBody(await self.in_thread(lambda: decoder(inflated(raw, most))), self, large=True)
        if is_large(raw):
            return ParsedBody(await self.in_thread(lambda: decoder(raw)), self, large=True)
        return ParsedBody(decoder(raw), self, large=False)

    def parse(self, raw: bytes, type_: type) -> object:
        """Return the JSON value of ``raw``, strictly read and counted as a ``type_``. Raise InvalidRequest."""
        value = parse_json(raw, self.limits)
        self.counter(type_).check(value)
        return value

    def counter(self, type_: type) -> BodyCounter:
        """Return the counter of bodies of ``type_``."""
        found = self._counters.get(type_)
        if found is None:
            countable: Countable = getattr(type_, "countable", {})
            found = self._counters[type_] = BodyCounter(countable, self.limits, self._errors.too_many)
        return found

    def convert(self, value: object, type_: type[S], *, strict: bool = False) -> S:
        """Return ``value`` as a ``type_``. Raise InvalidRequest in the dialect's words."""
        if strict and isinstance(value, dict) and (unknown := value.keys() - set(type_.__struct_encode_fields__)):
            raise self._errors.unknown(min(unknown)[:80])
        try:
            return msgspec.convert(value, type_)
        except msgspec.ValidationError as error:
            raise self._errors.invalid(violation(error)) from error

    def query(self, request: Request[Any, Any, Any], type_: type[S]) -> S:
        """Return the query of ``request`` as a ``type_``. Raise InvalidRequest in the dialect's words."""
        return self.fields(dict(request.query_params), type_)

    def fields(self, texts: Mapping[str, str], type_: type[S]) -> S:
        """Return the fields of a query or a form as a ``type_``. Raise InvalidRequest in the dialect's words."""
        try:
            return from_text(texts, type_)
        except msgspec.ValidationError as error:
            raise self._errors.invalid(violation(error)) from error

    async def in_thread(self, function: Callable[[], R]) -> R:
        """Return ``function()``, run in the thread. Raise Unavailable when too many wait for it."""
        return await self._thread.run(function)


def _busy() -> Unavailable:
    return Unavailable("Too many large requests arrive at once.", retry_after=1)


async def read_json(request: Request[Any, Any, Any]) -> object:
    """Return the JSON body of ``request``, for routes whose callers are trusted. Raise InvalidRequest."""
    raw = await request.body()
    return await asyncio.to_thread(parse_json, raw) if is_large(raw) else parse_json(raw)


def is_large(raw: bytes) -> bool:
    """Return True if work on ``raw`` would be felt by other requests on the event loop."""
    return len(raw) >= _LARGE_BYTES or raw.count(b"{") + raw.count(b"[") > _LARGE_COUNT


def violation(error: msgspec.ValidationError) -> Violation:
    """Return the parts of msgspec's sentence."""
    text = str(error)
    at = _AT.search(text, max(0, text.rfind(" - at `")))
    path = at.group(1) if at else ""
    text = text[: at.start()] if at else text
    if missing := _MISSING.fullmatch(text):
        return Violation(f"{path}.{missing.group(1)}" if path else missing.group(1), True, text)
    return Violation(path, False, text)


__all__ = ("BodyErrors", "BodyReader", "ParsedBody", "Violation", "is_large", "read_json", "violation")

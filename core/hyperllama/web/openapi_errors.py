"""The errors of each dialect for the OpenAPI document, made by the dialect itself."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import msgspec
from litestar.handlers import HTTPRouteHandler

from hyperllama.errors import (
    EngineFailed,
    EngineTimeout,
    Forbidden,
    GatewayError,
    InvalidRequest,
    LoadFailed,
    NotFound,
    Overloaded,
    PayloadTooLarge,
    RateLimited,
    Unauthenticated,
)
from hyperllama.spi import DescribesErrors, ErrorReply, OverridesErrors, WireProtocol
from hyperllama.web.routing import PUBLIC, declared

_ALWAYS = (InvalidRequest, GatewayError)
_OF_CALLERS = (Unauthenticated, Forbidden)
_OF_NAMES = (NotFound,)
_OF_BODIES = (PayloadTooLarge,)
_OF_MODELS = (RateLimited, EngineFailed, LoadFailed, Overloaded, EngineTimeout)
KINDS = (*_ALWAYS, *_OF_CALLERS, *_OF_NAMES, *_OF_BODIES, *_OF_MODELS)


class Errors:
    """The answers of one dialect to every kind of error."""

    def __init__(self, protocol: WireProtocol, protocols: Iterable[WireProtocol] = ()) -> None:
        """Collect the answers of ``protocol``, some of which other ``protocols`` of the gateway override."""
        self._name = protocol.name
        self._replies = {kind: protocol.error_reply(kind("The reason."), protocol.prefixes[0]) for kind in KINDS}
        self.bodies: Sequence[type[msgspec.Struct]] = (
            protocol.error_bodies if isinstance(protocol, DescribesErrors) else ()
        )
        self._overridden = [
            (reply, other.error_bodies if isinstance(other, DescribesErrors) else ())
            for other in protocols
            if isinstance(other, OverridesErrors)
            for error in other.overridden_errors
            if (reply := other.override_reply(error, protocol.prefixes[0])) is not None
        ]

    def responses(self, schema_of: Mapping[type, Any]) -> dict[str, Any]:
        """Return the entries of ``components.responses``, one for each status."""
        return {self._component(status): self._response(status, schema_of) for status in self._statuses(KINDS)}

    def of(self, handler: HTTPRouteHandler, *, named: bool) -> dict[str, Any]:
        """Return references by status to the errors of ``handler``. ``named``: its path holds a name."""
        return {
            str(status): {"$ref": f"#/components/responses/{self._component(status)}"}
            for status in self._statuses(_kinds(handler, named=named))
        }

    def _response(self, status: int, schema_of: Mapping[type, Any]) -> dict[str, Any]:
        alike = {kind: reply for kind, reply in self._replies.items() if reply.status == status}
        shapes = [schema_of[body] for body in self.bodies if any(_fits(reply, body) for reply in alike.values())]
        for reply, bodies in self._overridden:
            if reply.status == status:
                shapes += [schema_of[body] for body in bodies if _fits(reply, body) and schema_of[body] not in shapes]
        spoken = {"schema": shapes[0] if len(shapes) == 1 else {"anyOf": shapes}} if shapes else {}
        return {
            "description": "; ".join(kind.code.replace("_", " ") for kind in alike),
            "content": {reply.media_type.partition(";")[0]: spoken for reply in alike.values()},
        }

    def _statuses(self, kinds: Iterable[type[GatewayError]]) -> Sequence[int]:
        return sorted({self._replies[kind].status for kind in kinds})

    def _component(self, status: int) -> str:
        return f"{self._name}.{status}"


def _kinds(handler: HTTPRouteHandler, *, named: bool) -> Iterator[type[GatewayError]]:
    """Yield the kinds of errors that a route may answer with, judged by its ``opt``."""
    yield from _ALWAYS
    said = declared(handler)
    takes = said.accepts is not None or said.form is not None
    if said.permission != PUBLIC:
        yield from _OF_CALLERS
    if named or takes:
        yield from _OF_NAMES
    if takes:
        yield from _OF_BODIES
    if said.permission == "infer":
        yield from _OF_MODELS


def _fits(reply: ErrorReply, body: type[msgspec.Struct]) -> bool:
    try:
        msgspec.json.decode(reply.body, type=body)
    except msgspec.DecodeError:
        return False
    return True


__all__ = ("Errors",)

"""What a request to the admin API says: its body, its query, who sends it, and from where."""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from datetime import UTC, date, datetime
from typing import Any, TypeVar

import msgspec
from litestar import Request
from litestar.connection import ASGIConnection
from litestar.handlers import BaseRouteHandler
from litestar.types import Guard

from hyperllama.errors import Forbidden, InvalidRequest
from hyperllama.store.audit import Actor
from hyperllama.web.body import read_json
from hyperllama.web.streaming import caller

T = TypeVar("T", bound=msgspec.Struct)

GROUPS = ("day", "month", "key", "model")


def only_from(networks: Sequence[str]) -> Guard:
    """Refuses whoever calls from elsewhere; a Unix socket is this machine's own."""
    known = [ipaddress.ip_network(network) for network in networks]

    def guard(connection: ASGIConnection[Any, Any, Any, Any], _: BaseRouteHandler) -> None:
        client = connection.client
        if client is None:
            return
        try:
            address = ipaddress.ip_address(client.host.partition("%")[0])
        except ValueError:
            return  # no address: not of TCP
        if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
            address = address.ipv4_mapped
        if not any(address.version == network.version and address in network for network in known):
            raise Forbidden("the admin API is not offered to this address; [admin] networks says to which")

    return guard


async def body(request: Request[Any, Any, Any], type_: type[T], *, empty: bool = False) -> T:
    """``empty``: no body is one without fields. Raises InvalidRequest with the field at fault."""
    if empty and not await request.body():
        return type_()
    try:
        return msgspec.convert(await read_json(request), type_)
    except msgspec.ValidationError as error:
        text, _, at = str(error).partition(" - at `$")
        param = at.rstrip("`").lstrip(".") or None
        raise InvalidRequest(f"{param}: {text}" if param else text, param=param) from error


def actor(request: Request[Any, Any, Any]) -> Actor:
    return Actor.of(caller(request, "admin"))


def number(request: Request[Any, Any, Any], name: str, default: int, most: int) -> int:
    text = request.query_params.get(name)
    if text is None:
        return default
    if not text.isascii() or not text.isdigit() or not 1 <= (value := int(text[:12])) <= most:
        raise InvalidRequest(f"{name} is a number from 1 to {most}", param=name)
    return value


def day(request: Request[Any, Any, Any], name: str, default: str) -> str:
    """A date of the query, as "2026-11-24"."""
    text = request.query_params.get(name, default)
    try:
        return date.fromisoformat(text).isoformat()
    except ValueError as error:
        raise InvalidRequest(f"{name} is a day, as 2026-11-24", param=name) from error


def since(request: Request[Any, Any, Any]) -> float | None:
    """The first moment of the day ``since``; None: it was not said."""
    if "since" not in request.query_params:
        return None
    return datetime.fromisoformat(day(request, "since", "")).replace(tzinfo=UTC).timestamp()


def groups(request: Request[Any, Any, Any], default: str) -> tuple[str, ...]:
    """What lines of usage are added up by: ``by=day,model``."""
    words = tuple(dict.fromkeys(request.query_params.get("by", default).split(",")))
    if not set(words) <= set(GROUPS) or {"day", "month"} <= set(words):
        raise InvalidRequest("by is one or more of day or month, key, model, between commas", param="by")
    return words


__all__ = ("actor", "body", "day", "groups", "number", "only_from", "since")

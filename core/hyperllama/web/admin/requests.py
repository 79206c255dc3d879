"""Parts of a request to the admin API: its body, its query, its sender and the sender's address."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

import msgspec
from litestar import Request
from litestar.connection import ASGIConnection
from litestar.handlers import BaseRouteHandler
from litestar.types import Guard

from hyperllama.database.audit import Actor
from hyperllama.errors import Forbidden, InvalidRequest
from hyperllama.system.network import in_any, parse_address, parse_network
from hyperllama.web.admin.wire import BY
from hyperllama.web.body import read_json
from hyperllama.web.query import read_query
from hyperllama.web.request import caller

T = TypeVar("T", bound=msgspec.Struct)

GROUPS = ("day", "month", "key", "model")


def only_from(networks: Sequence[str]) -> Guard:
    """Return a guard that raises Forbidden for addresses outside ``networks``; a Unix socket always passes."""
    known = [parse_network(network) for network in networks]

    def guard(connection: ASGIConnection[Any, Any, Any, Any], _: BaseRouteHandler) -> None:
        client = connection.client
        if client is None:
            return
        address = parse_address(client.host)
        if address is None:
            return  # not of TCP
        if not in_any(known, address):
            raise Forbidden("The admin API is not offered to this address. See [admin] networks.")

    return guard


async def body(request: Request[Any, Any, Any], type_: type[T], *, empty: bool = False) -> T:
    """Return the body as a ``type_``; ``empty``: it may be absent. Raises InvalidRequest naming the field."""
    if empty and not await request.body():
        return type_()
    value = await read_json(request)
    with _refusing():
        return msgspec.convert(value, type_)


def query(request: Request[Any, Any, Any], type_: type[T]) -> T:
    """Return the query as a ``type_``. Raises InvalidRequest naming the parameter."""
    with _refusing():
        return read_query(request, type_)


def actor(request: Request[Any, Any, Any]) -> Actor:
    return Actor.of(caller(request, "admin"))


def groups(by: str) -> tuple[str, ...]:
    """Return the columns named in ``by``, such as ``day,model``, without repeats. Raises InvalidRequest."""
    words = tuple(dict.fromkeys(by.split(",")))
    if not set(words) <= set(GROUPS) or {"day", "month"} <= set(words):
        raise InvalidRequest(f"by must be one or more of {BY}, separated by commas.", param="by")
    return words


@contextmanager
def _refusing() -> Iterator[None]:
    try:
        yield
    except msgspec.ValidationError as error:
        text, _, at = str(error).partition(" - at `$")
        param = at.rstrip("`").lstrip(".") or None
        raise InvalidRequest(f"{param}: {text}" if param else text, param=param) from error


__all__ = ("actor", "body", "groups", "only_from", "query")

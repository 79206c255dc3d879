"""Declare what a route requires, takes and answers: one typed call in place of a dictionary of strings."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, Self, TypeAlias

import msgspec
from litestar.handlers import BaseRouteHandler

from hyperllama.errors import ConfigError
from hyperllama.identity import PERMISSIONS, Permission

Body: TypeAlias = type[msgspec.Struct]
Encoding: TypeAlias = Literal["zstd"]

PUBLIC: Literal["public"] = "public"


class Resource:
    """A base of classes whose bound methods are route handlers: ``get("/x", opt=route(...))(self.read)``.

    Litestar copies a handler for each router it is mounted in; what the copies are bound to stays one object.
    """

    def __deepcopy__(self, memo: dict[int, object]) -> Self:
        return self


class Route(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The declaration of one route, as :func:`route` takes it and :func:`declared` reads it back."""

    permission: Permission | Literal["public"]
    accepts: Body | None = None
    form: Body | None = None
    query: Body | None = None
    answers: Body | None = None
    streams: str | None = None
    statuses: tuple[int, ...] = ()
    encodings: tuple[Encoding, ...] = ()


def route(
    *,
    permission: Permission | Literal["public"],
    accepts: Body | None = None,
    form: Body | None = None,
    query: Body | None = None,
    answers: Body | None = None,
    streams: str | None = None,
    statuses: tuple[int, ...] = (),
    encodings: tuple[Encoding, ...] = (),
) -> dict[str, Any]:
    """Return the ``opt`` of a Litestar handler: ``@get("/x", opt=route(permission="infer", answers=Answer))``.

    ``permission`` is what the caller must have; ``"public"`` lets everyone in without credentials. Everything else
    describes the route in the OpenAPI document: ``accepts`` is the JSON body, ``form`` the fields of a multipart form,
    ``query`` the parameters of the query, ``answers`` the JSON answer, ``streams`` the media type of an answer that is
    not JSON, ``statuses`` those of a successful answer where there are several. ``encodings`` are the content codings
    that the handler decodes itself: the server refuses every other one with 415.
    """
    declaration = Route(
        permission=permission,
        accepts=accepts,
        form=form,
        query=query,
        answers=answers,
        streams=streams,
        statuses=statuses,
        encodings=encodings,
    )
    return {
        name: value
        for name in Route.__struct_fields__
        if (value := getattr(declaration, name)) is not None and value != ()
    }


def declared(handler: BaseRouteHandler) -> Route:
    """Return what ``handler`` declares. Raise ConfigError without a permission: no route is open by accident."""
    opt: Mapping[str, Any] = handler.opt
    if opt.get("permission") != PUBLIC and opt.get("permission") not in PERMISSIONS:
        raise ConfigError(
            f"The route {', '.join(sorted(handler.paths))} declares no permission; set opt=route(permission=...)."
        )
    return Route(**{name: opt[name] for name in Route.__struct_fields__ if name in opt})


__all__ = ("PUBLIC", "Resource", "Route", "declared", "route")

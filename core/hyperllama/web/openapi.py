"""The OpenAPI document of the routes, made from the Structs that they decode and encode.

A route describes itself with :func:`hyperllama.web.route`; one that gives only its permission is listed with its
path and methods. The errors of a route are those of its dialect.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import msgspec
from litestar import Request, Response, get
from litestar.handlers import HTTPRouteHandler

from hyperllama.spi import WireProtocol
from hyperllama.web.dialects import owner
from hyperllama.web.litestar_compat import route_handlers
from hyperllama.web.openapi_errors import Errors
from hyperllama.web.openapi_page import page
from hyperllama.web.routing import PUBLIC, Resource, Route, declared, route

_PARAMETER = re.compile(r"\{(\w+)(?::\w+)?\}")
_REFERENCE = "#/components/schemas/{name}"


class OpenApiRoutes(Resource):
    """``/openapi.json`` and ``/docs``, which describe the application that they are part of."""

    def __init__(self, protocols: Sequence[WireProtocol]) -> None:
        self._protocols = protocols

    @property
    def handlers(self) -> Sequence[HTTPRouteHandler]:
        """The route handlers, to be mounted by the application."""
        return (
            get("/openapi.json", opt=route(permission="models:read"))(self.openapi),
            get("/docs", opt=route(permission="models:read", streams="text/html"))(self.docs),
        )

    async def openapi(self, request: Request[Any, Any, Any]) -> Response[bytes]:
        return Response(msgspec.json.encode(self._document(request)), media_type="application/json")

    async def docs(self, request: Request[Any, Any, Any]) -> Response[str]:
        return Response(page(self._document(request)), media_type="text/html")

    def _document(self, request: Request[Any, Any, Any]) -> dict[str, Any]:
        return document(route_handlers(request.app), self._protocols)


def document(handlers: Iterable[tuple[str, HTTPRouteHandler]], protocols: Sequence[WireProtocol]) -> dict[str, Any]:
    """Return an OpenAPI 3.1 document of ``handlers``, by path. Pure."""
    found = sorted(handlers, key=lambda entry: entry[0])
    errors = {protocol.name: Errors(protocol, protocols) for protocol in protocols}
    structs = {type_ for _, handler in found for type_ in _structs(handler)}
    structs.update(body for each in errors.values() for body in each.bodies)
    ordered = sorted(structs, key=lambda type_: (type_.__qualname__, type_.__module__))
    schemas, components = msgspec.json.schema_components(ordered, ref_template=_REFERENCE)
    schema_of = dict(zip(ordered, schemas, strict=True))
    paths: dict[str, Any] = {}
    for path, handler in found:
        spelled = paths.setdefault(_PARAMETER.sub(r"{\1}", path), {})
        dialect = owner(protocols, path)
        for method in sorted(handler.http_methods):
            if method != "OPTIONS":
                described = errors[dialect.name] if dialect is not None else None
                spelled[method.lower()] = _operation(handler, path, method, schema_of, described)
    return {
        "openapi": "3.1.0",
        "info": {"title": "hyperllama-gateway", "version": _version()},
        "paths": paths,
        "components": {
            "schemas": components,
            "responses": {name: said for each in errors.values() for name, said in each.responses(schema_of).items()},
            "securitySchemes": {"key": {"type": "http", "scheme": "bearer"}},
        },
        "security": [{"key": []}],
    }


def _operation(
    handler: HTTPRouteHandler, path: str, method: str, schema_of: Mapping[type, Any], errors: Errors | None
) -> dict[str, Any]:
    said, names = declared(handler), _PARAMETER.findall(path)
    answer: dict[str, Any] = {"description": "The answer"}
    failures: dict[str, Any] = {}
    if method != "HEAD":  # whose answers have no bodies
        answer |= _answered(said, schema_of)
        failures |= errors.of(handler, named=bool(names)) if errors is not None else {}
    answers = {str(status): answer for status in said.statuses or (handler.status_code,)}
    operation: dict[str, Any] = {
        "operationId": re.sub(r"\W+", "_", f"{method.lower()}{path}"),
        "summary": handler.fn.__name__.strip("_").replace("_", " "),
        "responses": {
            **answers,
            **failures,
            "default": {"description": "Another error, in the dialect of the path"},
        },
    }
    if said.permission == PUBLIC:
        operation["security"] = []
    parameters = [{"name": name, "in": "path", "required": True, "schema": {"type": "string"}} for name in names]
    if said.query is not None:
        asked = _text(said.query)
        parameters += [
            {"name": name, "in": "query", "required": name in asked["required"], "schema": schema}
            for name, schema in asked["properties"].items()
        ]
    if parameters:
        operation["parameters"] = parameters
    if said.accepts is not None:
        operation["requestBody"] = _body("application/json", schema_of[said.accepts])
    if said.form is not None:
        operation["requestBody"] = _body("multipart/form-data", _text(said.form))
    return operation


def _body(media_type: str, schema: dict[str, Any]) -> dict[str, Any]:
    return {"required": True, "content": {media_type: {"schema": schema}}}


def _answered(said: Route, schema_of: Mapping[type, Any]) -> dict[str, Any]:
    content: dict[str, Any] = {}
    if said.answers is not None:
        content["application/json"] = {"schema": schema_of[said.answers]}
    if said.streams is not None:
        text = not said.streams.endswith("/octet-stream")
        content[said.streams] = {"schema": {"type": "string"}} if text else {}
    return {"content": content} if content else {}


def _text(type_: type[msgspec.Struct]) -> dict[str, Any]:
    """Return the schema of a query or a form; it cannot express null, so that alternative is left out."""
    _, components = msgspec.json.schema_components([type_])
    properties = {name: _unless_null(schema) for name, schema in components[type_.__name__]["properties"].items()}
    return {"type": "object", "properties": properties, "required": components[type_.__name__]["required"]}


def _unless_null(schema: dict[str, Any]) -> dict[str, Any]:
    match schema:
        case {"anyOf": [dict() as said, {"type": "null"}]}:
            return said
    return schema


def _structs(handler: HTTPRouteHandler) -> Iterator[type[msgspec.Struct]]:
    said = declared(handler)
    return (body for body in (said.accepts, said.answers) if body is not None)


def _version() -> str:
    from hyperllama import __version__

    return __version__


__all__ = ("OpenApiRoutes", "document")

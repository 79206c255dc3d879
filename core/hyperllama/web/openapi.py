"""What the routes take and give, as an OpenAPI document and as a page, made from the Structs they decode.

A route says so in its ``opt``: ``accepts`` and ``answers`` are msgspec Structs, ``streams`` the media type of a
streamed answer. One that says nothing is listed with its path and methods.
"""

from __future__ import annotations

import html
import json
import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import msgspec
from litestar import Request, Response, get
from litestar.handlers import HTTPRouteHandler

_PARAMETER = re.compile(r"\{(\w+)(?::\w+)?\}")
_REFERENCE = "#/components/schemas/{name}"
_STYLE = (
    "body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem}"
    "code{font:14px ui-monospace,monospace}table{border-collapse:collapse;width:100%}"
    "td,th{border-bottom:1px solid #ccc;padding:.2rem .6rem;text-align:left;vertical-align:top}"
    "summary{cursor:pointer;margin:.4rem 0}"
)


def openapi_routes() -> Sequence[HTTPRouteHandler]:
    """``/openapi.json`` and ``/docs``, of whatever application they are part of."""

    @get("/openapi.json", opt={"permission": "models:read"})
    async def openapi(request: Request[Any, Any, Any]) -> Response[bytes]:
        return Response(msgspec.json.encode(document(_handlers(request))), media_type="application/json")

    @get("/docs", opt={"permission": "models:read"})
    async def docs(request: Request[Any, Any, Any]) -> Response[str]:
        return Response(page(document(_handlers(request))), media_type="text/html")

    return (openapi, docs)


def document(handlers: Iterable[HTTPRouteHandler]) -> dict[str, Any]:
    """An OpenAPI 3.1 document. Pure."""
    found = sorted(handlers, key=lambda handler: min(handler.paths))
    structs = sorted({type_ for handler in found for type_ in _structs(handler)}, key=lambda type_: type_.__qualname__)
    schemas, components = msgspec.json.schema_components(structs, ref_template=_REFERENCE)
    schema_of = dict(zip(structs, schemas, strict=True))
    paths: dict[str, Any] = {}
    for handler in found:
        for path in sorted(handler.paths):
            spelled = paths.setdefault(_PARAMETER.sub(r"{\1}", path), {})
            for method in sorted(handler.http_methods):
                if method != "OPTIONS":
                    spelled[method.lower()] = _operation(handler, path, method, schema_of)
    return {
        "openapi": "3.1.0",
        "info": {"title": "hyperllama-gateway", "version": _version()},
        "paths": paths,
        "components": {"schemas": components, "securitySchemes": {"key": {"type": "http", "scheme": "bearer"}}},
        "security": [{"key": []}],
    }


def page(document: dict[str, Any]) -> str:
    """The document for people: plain HTML, no script."""
    operations = "".join(
        f"<h3><code>{html.escape(method.upper())} {html.escape(path)}</code></h3>{_described(operation)}"
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
    )
    schemas = "".join(
        f'<details id="{html.escape(name)}"><summary><code>{html.escape(name)}</code></summary>'
        f"{_fields(schema)}</details>"
        for name, schema in document["components"]["schemas"].items()
    )
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{html.escape(document["info"]["title"])}</title>'
        f"<style>{_STYLE}</style><h1>{html.escape(document['info']['title'])}</h1>"
        f'<p><a href="openapi.json">openapi.json</a></p><h2>Routes</h2>{operations}<h2>Values</h2>{schemas}</html>'
    )


def _operation(handler: HTTPRouteHandler, path: str, method: str, schema_of: dict[type, Any]) -> dict[str, Any]:
    opt = handler.opt
    answer: dict[str, Any] = {"description": "The answer"}
    if "answers" in opt:
        answer["content"] = {"application/json": {"schema": schema_of[opt["answers"]]}}
    if "streams" in opt:
        answer.setdefault("content", {})[opt["streams"]] = {"schema": {"type": "string"}}
    operation: dict[str, Any] = {
        "operationId": re.sub(r"\W+", "_", f"{method.lower()}{path}"),
        "summary": handler.fn.__name__.replace("_", " "),
        "responses": {
            str(handler.status_code): answer,
            "default": {"description": "An error, in the dialect of the path"},
        },
    }
    if opt.get("permission") == "public":
        operation["security"] = []
    if parameters := _PARAMETER.findall(path):
        operation["parameters"] = [
            {"name": name, "in": "path", "required": True, "schema": {"type": "string"}} for name in parameters
        ]
    if "accepts" in opt:
        content = {"application/json": {"schema": schema_of[opt["accepts"]]}}
        operation["requestBody"] = {"required": True, "content": content}
    return operation


def _structs(handler: HTTPRouteHandler) -> Iterator[type[msgspec.Struct]]:
    return (handler.opt[key] for key in ("accepts", "answers") if key in handler.opt)


def _handlers(request: Request[Any, Any, Any]) -> Iterator[HTTPRouteHandler]:
    seen = set()
    for route in request.app.routes:
        for handler in getattr(route, "route_handlers", ()):
            if isinstance(handler, HTTPRouteHandler) and "permission" in handler.opt and id(handler.fn) not in seen:
                seen.add(id(handler.fn))
                yield handler


def _described(operation: dict[str, Any]) -> str:
    takes = operation.get("requestBody", {}).get("content", {}).get("application/json", {}).get("schema")
    answer = next(iter(operation["responses"].values()))
    gives = answer.get("content", {}).get("application/json", {}).get("schema")
    text = f"<p>{html.escape(operation['summary'])}"
    text += f" &middot; takes {_linked(takes)}" if takes else ""
    return text + (f" &middot; gives {_linked(gives)}" if gives else "") + "</p>"


def _fields(schema: dict[str, Any]) -> str:
    required = set(schema.get("required", ()))
    rows = "".join(
        f"<tr><td><code>{html.escape(name)}</code></td><td>{'required' if name in required else ''}</td>"
        f"<td>{_linked(field)}</td></tr>"
        for name, field in schema.get("properties", {}).items()
    )
    return f"<p>{html.escape(schema.get('description', ''))}</p><table>{rows}</table>"


def _linked(schema: dict[str, Any]) -> str:
    """A schema in one line; what it refers to is a link."""
    text = html.escape(json.dumps({key: value for key, value in schema.items() if key != "default"}))
    return re.sub(
        r"\{&quot;\$ref&quot;: &quot;#/components/schemas/([\w.]+)&quot;\}",
        r'<a href="#\1">\1</a>',
        f"<code>{text}</code>",
    )


def _version() -> str:
    from hyperllama import __version__

    return __version__


__all__ = ("document", "openapi_routes", "page")

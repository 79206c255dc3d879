"""The OpenAPI document for people: plain HTML, no script."""

from __future__ import annotations

import html
import json
import re
from typing import Any

_STYLE = (
    "body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem}"
    "code{font:14px ui-monospace,monospace}table{border-collapse:collapse;width:100%}"
    "td,th{border-bottom:1px solid #ccc;padding:.2rem .6rem;text-align:left;vertical-align:top}"
    "summary{cursor:pointer;margin:.4rem 0}"
)


def page(document: dict[str, Any]) -> str:
    """Return ``document`` as an HTML page. Pure."""
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


def _described(operation: dict[str, Any]) -> str:
    asked = [parameter for parameter in operation.get("parameters", ()) if parameter["in"] == "query"]
    takes = _first(operation.get("requestBody", {}))
    gives = _first(next(iter(operation["responses"].values())))
    text = f"<p>{html.escape(operation['summary'])}"
    text += f" &middot; takes {_linked(takes)}" if takes else ""
    text += f" &middot; gives {_linked(gives)}" if gives else ""
    rows = "".join(_row(parameter["name"], parameter["schema"], required=parameter["required"]) for parameter in asked)
    return f"{text}</p>" + (f"<table>{rows}</table>" if rows else "")


def _first(spoken: dict[str, Any]) -> dict[str, Any]:
    """Return the schema of a body in its first media type; empty when it has none."""
    for said in spoken.get("content", {}).values():
        schema: dict[str, Any] = said.get("schema", {})
        return schema
    return {}


def _fields(schema: dict[str, Any]) -> str:
    required = set(schema.get("required", ()))
    rows = "".join(_row(name, field, required=name in required) for name, field in schema.get("properties", {}).items())
    return f"<p>{html.escape(schema.get('description', ''))}</p><table>{rows}</table>"


def _row(name: str, schema: dict[str, Any], *, required: bool) -> str:
    return (
        f"<tr><td><code>{html.escape(name)}</code></td><td>{'required' if required else ''}</td>"
        f"<td>{_linked(schema)}</td></tr>"
    )


def _linked(schema: dict[str, Any]) -> str:
    """Return a schema as one line of HTML, with its references as links."""
    text = html.escape(json.dumps({key: value for key, value in schema.items() if key != "default"}))
    return re.sub(
        r"\{&quot;\$ref&quot;: &quot;#/components/schemas/([\w.]+)&quot;\}",
        r'<a href="#\1">\1</a>',
        f"<code>{text}</code>",
    )


__all__ = ("page",)

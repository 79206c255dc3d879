"""The configuration file as a JSON schema."""

from __future__ import annotations

from typing import Any

import msgspec

from hyperllama.config.schema import Config


def json_schema() -> dict[str, Any]:
    """Return the schema of config.toml: types, ranges and defaults. A duration is a number or a text."""
    schema = msgspec.json.schema(Config)
    _write_durations(schema)
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "hyperllama-gateway", **schema}


def _write_durations(schema: Any) -> None:
    if isinstance(schema, dict):
        if schema.get("format") == "duration":  # ours, not the one of ISO 8601 that the word stands for in JSON schema
            del schema["format"]
            schema["type"] = ["number", "string"]
            schema.pop("minimum", None)
        for item in schema.values():
            _write_durations(item)
    elif isinstance(schema, list):
        for item in schema:
            _write_durations(item)


__all__ = ("json_schema",)

"""Ollama's environment variables with Ollama's meaning, for users who move over from it."""

from __future__ import annotations

import re
from collections.abc import Mapping

_COUNTS = {"OLLAMA_MAX_LOADED_MODELS": "server.max_loaded_models", "OLLAMA_MAX_QUEUE": "queue.max_waiting"}


def overrides(environ: Mapping[str, str]) -> dict[str, object]:
    """Return ``{"table.key": value}`` of the configuration for the variables that are set."""
    found: dict[str, object] = {}
    if host := _value(environ, "OLLAMA_HOST"):
        found["server.host"], found["server.port"] = _host(host)
    if kept := _value(environ, "OLLAMA_KEEP_ALIVE"):
        found["server.keep_alive"] = kept
    for name, key in _COUNTS.items():
        count = _value(environ, name)
        if count.isascii() and count.isdigit():  # Ollama takes anything else for a variable that is not set
            found[key] = int(count)
    if origins := _value(environ, "OLLAMA_ORIGINS"):
        found["server.cors_origins"] = [origin.strip() for origin in origins.split(",") if origin.strip()]
    return found


def _value(environ: Mapping[str, str], name: str) -> str:
    return environ.get(name, "").strip().strip("\"'")


def _host(text: str) -> tuple[str, int]:
    """Return host and port as Ollama reads them: a bare host or a bad port mean 11434, ``:p`` is every interface."""
    scheme, _, rest = text.rpartition("://")
    rest = rest.split("/", 1)[0]
    default = {"http": 80, "https": 443}.get(scheme, 11434)
    match = re.fullmatch(r"(\[[^\]]*\]|[^:]*)(?::(.*))?", rest)
    if match is None:
        return rest.strip("[]"), default  # an IPv6 address without brackets
    host, port = match.group(1).strip("[]"), match.group(2)
    if port is not None and not (port.isdigit() and int(port) <= 65535):
        port = "11434"
    return host or ("0.0.0.0" if port else "127.0.0.1"), int(port) if port else default  # noqa: S104 - Ollama's meaning


__all__ = ("overrides",)

"""Environment variables that replace what the file says."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, get_type_hints

import msgspec

from hyperllama.config.schema import Config, Section
from hyperllama.errors import ConfigError

PREFIX = "HYPERLLAMA_"

_OLLAMA_COUNTS = {
    "OLLAMA_MAX_LOADED_MODELS": ("server", "max_loaded_models"),
    "OLLAMA_MAX_QUEUE": ("queue", "max_waiting"),
}


def override(tables: dict[str, Any], environ: Mapping[str, str]) -> None:
    """``HYPERLLAMA_<TABLE>_<KEY>`` replaces a scalar; ``OLLAMA_HOST`` and its like mean what Ollama says.

    Ours win over Ollama's, and both over the file.
    """
    server = tables.setdefault("server", {})
    if ollama := environ.get("OLLAMA_HOST", "").strip().strip("\"'"):
        server["host"], server["port"] = _ollama_host(ollama)
    if kept := environ.get("OLLAMA_KEEP_ALIVE", "").strip().strip("\"'"):
        server["keep_alive"] = float(kept) if re.fullmatch(r"-?\d+", kept) else kept
    for name, (table, key) in _OLLAMA_COUNTS.items():
        count = environ.get(name, "").strip().strip("\"'")
        if count.isascii() and count.isdigit():  # to Ollama anything else is as if it were not said
            tables.setdefault(table, {})[key] = int(count)
    if (origins := environ.get("OLLAMA_ORIGINS", "").strip().strip("\"'")) and isinstance(server, dict):
        server["cors_origins"] = [
            *server.get("cors_origins", []),
            *(o.strip() for o in origins.split(",") if o.strip()),
        ]
    hints = get_type_hints(Config)
    for table, type_ in hints.items():
        if not (isinstance(type_, type) and issubclass(type_, Section)):
            continue
        for key, hint in get_type_hints(type_).items():
            name = f"{PREFIX}{table}_{key}".upper()
            if name in environ:
                tables.setdefault(table, {})[key] = _scalar(environ[name], hint, name)


def _scalar(text: str, hint: Any, name: str) -> Any:
    try:
        return msgspec.convert(text, hint, strict=False)
    except msgspec.ValidationError:
        pass
    try:
        return msgspec.convert(tuple(part.strip() for part in text.split(",") if part.strip()), hint)
    except msgspec.ValidationError as error:
        raise ConfigError(f"environment: {name}={text!r}: {error}") from error


def _ollama_host(text: str) -> tuple[str, int]:
    """Host and port as Ollama reads OLLAMA_HOST: a bare host or a bad port mean 11434, ``:p`` is every interface."""
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


__all__ = ("PREFIX", "override")

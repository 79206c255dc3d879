"""Environment variables that replace what the file says: our own, and those that plugins read."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib.metadata import entry_points
from typing import Any

import msgspec

from hyperllama.config.convert import convert, fields
from hyperllama.config.schema import Config, PluginChoice, Section
from hyperllama.errors import ConfigError

PREFIX = "HYPERLLAMA_"
GROUP = "hyperllama"  # of entry points: the plugins


def override(tables: dict[str, Any], environ: Mapping[str, str], where: str) -> None:
    """Replace in ``tables`` what ``environ`` names: ``HYPERLLAMA_<TABLE>_<KEY>``, and before it the plugins' variables.

    Ours win over a plugin's, and both over the file. Raises ConfigError.
    """
    ours = dict(_ours(environ))
    choice = dict(tables.get("plugins", {})) if isinstance(tables.get("plugins", {}), dict) else {}
    choice |= {key: value for (table, key), value in ours.items() if table == "plugins"}
    for path, value in _plugins(environ, convert(choice, PluginChoice, where, at=("plugins",))).items():
        _set(tables, path, value)
    for (table, key), value in ours.items():
        if isinstance(tables.setdefault(table, {}), dict):
            tables[table][key] = value


def _ours(environ: Mapping[str, str]) -> list[tuple[tuple[str, str], Any]]:
    found = []
    for table, type_ in fields(Config).items():
        if not (isinstance(type_, type) and issubclass(type_, Section)):
            continue
        for key, hint in fields(type_).items():
            name = f"{PREFIX}{table}_{key}".upper()
            if name in environ:
                found.append(((table, key), _scalar(environ[name], hint, name)))
    return found


def _plugins(environ: Mapping[str, str], choice: PluginChoice) -> dict[str, object]:
    """Return what plugins read from variables that begin with their own name, as the hook's specification says."""
    found: dict[str, object] = {}
    prefixes = {name.partition("_")[0].lower() for name in environ if "_" in name}
    for entry in entry_points(group=GROUP):
        if entry.name not in prefixes or not choice.chooses(entry.name):
            continue
        try:
            hook: Callable[..., Mapping[str, object]] | None = getattr(entry.load(), "hyperllama_environment", None)
        except Exception:  # noqa: BLE001, S112 - a plugin that does not load is reported when all are loaded
            continue
        if hook is not None:
            found |= hook(environ=environ)
    return found


def _set(tables: dict[str, Any], path: str, value: object) -> None:
    table, _, key = path.partition(".")
    here = tables.setdefault(table, {})
    if not isinstance(here, dict):
        return  # refused in a moment
    before = here.get(key, [])
    here[key] = [*before, *value] if isinstance(value, list | tuple) and isinstance(before, list) else value


def _scalar(text: str, hint: Any, name: str) -> Any:
    for value in (text, tuple(part.strip() for part in text.split(",") if part.strip())):
        try:
            return msgspec.convert(value, hint, strict=False)
        except msgspec.ValidationError as error:
            refusal = error
    if _is_duration(hint):
        return text  # read like one of the file
    raise ConfigError(f"environment: {name}={text!r}: {refusal}.")


def _is_duration(hint: Any) -> bool:
    return any((getattr(meta, "extra", None) or {}).get("duration") for meta in getattr(hint, "__metadata__", ()))


__all__ = ("GROUP", "PREFIX", "override")

"""The one way the configuration is read."""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from hyperllama.config.checks import check
from hyperllama.config.convert import convert
from hyperllama.config.environment import override
from hyperllama.config.schema import Config
from hyperllama.errors import ConfigError
from hyperllama.models import ModelSpec


def load(path: Path | None, environ: Mapping[str, str] = os.environ) -> Config:
    """Read the file (None: defaults alone), then overrides from ``environ``. Raises ConfigError with one clear line."""
    tables: dict[str, Any] = {}
    where = "defaults"
    if path is not None:
        where = str(path)
        try:
            tables = tomllib.loads(path.read_text("utf-8"))
        except OSError as error:
            raise ConfigError(f"{where}: cannot read the configuration: {error.strerror}") from error
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise ConfigError(f"{where}: not valid TOML: {error}") from error
    override(tables, environ)
    models = tables.get("models")
    if isinstance(models, dict):  # one at a time: msgspec names no keys of a mapping
        for name, table in models.items():
            convert(table, ModelSpec, where, at=("models", name))
    config: Config = convert(tables, Config, where)
    named = {name: msgspec.structs.replace(spec, name=name) for name, spec in config.models.items()}
    config = msgspec.structs.replace(config, models=named)
    check(config, where)
    return config


__all__ = ("load",)

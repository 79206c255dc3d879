"""Read the configuration: a file, what the environment replaces, and the checks."""

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
from hyperllama.system.terminal import one_line


def load(path: Path | None, environ: Mapping[str, str] = os.environ) -> Config:
    """Return the configuration of a file, with what ``environ`` replaces; ``path`` None: defaults alone.

    Reads the one file and blocks. Raises ConfigError with one line, whatever the file holds.
    """
    where = "defaults" if path is None else str(path)
    try:
        tables = {} if path is None else _parse(path, where)
        override(tables, environ, where)
        config = convert(tables, Config, where)
        named = {name: msgspec.structs.replace(spec, name=name) for name, spec in config.models.items()}
        config = msgspec.structs.replace(config, models=named)
        check(config, where)
    except RecursionError as error:
        raise ConfigError(f"{where}: Tables and lists are nested too deeply.") from error
    except ConfigError as error:
        raise ConfigError(one_line(error)) from error
    return config


def _parse(path: Path, where: str) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text("utf-8"))
    except OSError as error:
        raise ConfigError(f"{where}: The configuration cannot be read: {error.strerror}.") from error
    except ValueError as error:  # TOML, UTF-8, or a number of thousands of digits
        raise ConfigError(f"{where}: Not valid TOML: {error}.") from error


__all__ = ("load",)

"""The folder of a configured model's files."""

from __future__ import annotations

from pathlib import Path

from hyperllama import config


def folder(name: str, config_path: Path | None = None) -> Path | None:
    """Return the folder of the model ``name``; None: it has no files here. Reads the configuration and the disk.

    Raises ConfigError, and ModelNotFound when no plugin and no table offers the model.
    """
    from hyperllama.app.application import create_app

    return create_app(config.load(config_path)).catalog.find(name).path


__all__ = ("folder",)

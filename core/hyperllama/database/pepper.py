"""The secret mixed into every stored hash, so that a stolen database alone reveals nothing about any key."""

from __future__ import annotations

import contextlib
import secrets
from pathlib import Path

from hyperllama.errors import ConfigError
from hyperllama.system.files import write_whole

FILE = "pepper"
BYTES = 32


def pepper(directory: Path, configured: str = "") -> bytes:
    """Return the configured pepper, or the store's own, made at first use and readable by its owner alone.

    Blocks. Raises ConfigError when it is too short, damaged, or readable by others.
    """
    if configured:
        if len(configured) < 16:
            raise ConfigError("keys.pepper: Must have at least 16 characters; leave it out to have one made.")
        return configured.encode("utf-8", "surrogateescape")
    path = directory / FILE
    try:
        if not path.exists():
            with contextlib.suppress(FileExistsError):  # another process was first
                write_whole(path, secrets.token_bytes(BYTES), replace=False)
        mode = path.stat().st_mode
        value = path.read_bytes()
    except OSError as error:
        raise ConfigError(f"The store's pepper cannot be read or made: {error.strerror}.") from error
    if mode & 0o077:
        raise ConfigError("The store's file 'pepper' can be read by others; chmod 600 it, and rotate the keys.")
    if len(value) < BYTES:
        raise ConfigError("The store's file 'pepper' is damaged; restore it from a backup, or create the keys anew.")
    return value


__all__ = ("pepper",)

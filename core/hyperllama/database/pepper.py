"""The secret mixed into every stored hash, so that a stolen database alone tells nothing about any key."""

from __future__ import annotations

import contextlib
import os
import secrets
from pathlib import Path

from hyperllama.errors import ConfigError

FILE = "pepper"
BYTES = 32


def pepper(directory: Path, configured: str = "") -> bytes:
    """The configured one, or the store's own, made at first use and readable by its owner alone. Reads a file."""
    if configured:
        if len(configured) < 16:
            raise ConfigError("keys.pepper: at least 16 characters; leave it out to have one made")
        return configured.encode("utf-8", "surrogateescape")
    path = directory / FILE
    directory.mkdir(parents=True, exist_ok=True, mode=0o700)
    with contextlib.suppress(FileExistsError):
        _create(path)
    try:
        mode = path.stat().st_mode
        value = path.read_bytes()
    except OSError as error:
        raise ConfigError(f"the store's pepper cannot be read: {error.strerror}") from error
    if mode & 0o077:
        raise ConfigError("the store's file 'pepper' can be read by others; chmod 600 it, and rotate the keys")
    if len(value) < BYTES:
        raise ConfigError("the store's file 'pepper' is damaged; put it back from a backup, or create the keys anew")
    return value


def _create(path: Path) -> None:
    """All of it or none: written beside, then linked, which fails where one is already."""
    new = path.with_name(f"{path.name}.{secrets.token_hex(8)}")
    descriptor = os.open(new, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o600)
    try:
        os.write(descriptor, secrets.token_bytes(BYTES))
        os.fsync(descriptor)
        os.link(new, path)
    finally:
        os.close(descriptor)
        new.unlink()


__all__ = ("pepper",)

"""A stored model as the directory that engines load: hard links to its blobs, under the files' own names."""

from __future__ import annotations

import os
import re
import secrets
import shutil
from collections.abc import Iterable
from pathlib import Path

from hyperllama.errors import ConfigError
from hyperllama.hub.reference import NESTED
from hyperllama.modelstore.blobs import FOLDER as BLOBS
from hyperllama.modelstore.blobs import TEMPORARY
from hyperllama.modelstore.confined import ConfinedDirectory
from hyperllama.modelstore.manifests import Manifest
from hyperllama.modelstore.names import hex_of

FOLDER = "views"
TEMPLATE = "store-template.jinja"
_DIGEST = re.compile(r"[0-9a-f]{64}", re.ASCII)
_FILE = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.+-]{0,199}", re.ASCII)


class ModelDirectories:
    """The directories of models, called views here. Blocks: use in threads."""

    def __init__(self, directory: ConfinedDirectory) -> None:
        self._directory = directory

    def path(self, digest: str) -> Path:
        """Return the path of a view, existing or not. Raises ConfigError for a malformed digest."""
        if not _DIGEST.fullmatch(digest):
            raise ConfigError("The store has no model with that digest.")
        return self._directory.root / FOLDER / digest

    def make(self, manifest: Manifest, digest: str) -> Path:
        """Make a view under a temporary name, then rename it; return its path. Raises OSError."""
        path = self.path(digest)
        if path.is_dir() and not path.is_symlink():
            return path
        temporary = f"{TEMPORARY}{os.getpid()}-{secrets.token_hex(8)}"
        with self._directory.folder(FOLDER, create=True) as views, self._directory.folder(BLOBS, create=True) as blobs:
            os.mkdir(temporary, 0o755, dir_fd=views)
            with self._directory.folder(FOLDER, temporary) as here:
                for layer in manifest.layers:
                    blob, name = f"sha256-{hex_of(layer.digest)}", file_name(layer.filename)
                    folder, _, plain = name.rpartition("/")
                    if not folder:
                        link(blob, plain, blobs=blobs, here=here)
                        continue
                    os.mkdir(folder, 0o755, dir_fd=here)
                    with self._directory.folder(FOLDER, temporary, folder) as inner:
                        link(blob, plain, blobs=blobs, here=inner, depth=3)
                if manifest.template:
                    fd = os.open(TEMPLATE, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o644, dir_fd=here)
                    with os.fdopen(fd, "w", encoding="utf-8") as file:
                        file.write(manifest.template)
            try:
                os.rename(temporary, digest, src_dir_fd=views, dst_dir_fd=views)
            except OSError:  # another made it first
                shutil.rmtree(path.parent / temporary, ignore_errors=True)
                if not path.is_dir():
                    raise
        return path

    def collect(self, kept: Iterable[str]) -> None:
        """Drop the views of manifests that are gone, and half-made ones."""
        names = set(kept)
        for name in self._directory.names(FOLDER):
            if name not in names and (_DIGEST.fullmatch(name) or name.startswith(TEMPORARY)):
                shutil.rmtree(self._directory.root / FOLDER / name, ignore_errors=True)


def link(blob: str, name: str, *, blobs: int, here: int, depth: int = 2) -> None:
    """Add a file to a view: a hard link, or a symbolic one where the file system has no hard links.

    ``depth``: folders from ``here`` up to the store's own.
    """
    try:
        os.link(blob, name, src_dir_fd=blobs, dst_dir_fd=here, follow_symlinks=False)
    except PermissionError:
        os.symlink(f"{'../' * depth}{BLOBS}/{blob}", name, dir_fd=here)


def file_name(text: str) -> str:
    """Return ``text`` if it may name a file of a view. Raises ConfigError."""
    if not (_FILE.fullmatch(text) or NESTED.fullmatch(text)):
        raise ConfigError(f"{text!r} may not name a file of a model")
    return text


__all__ = ("FOLDER", "TEMPLATE", "ModelDirectories", "file_name")

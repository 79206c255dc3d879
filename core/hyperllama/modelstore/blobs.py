"""Files by the sha256 of their bytes: whole under their name, or not there at all."""

from __future__ import annotations

import fcntl
import hashlib
import os
import secrets
import shutil
import stat
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import BinaryIO

from hyperllama.errors import InvalidRequest, StoreFailed
from hyperllama.modelstore.confined import ConfinedDirectory
from hyperllama.modelstore.names import hex_of
from hyperllama.spi import Refused
from hyperllama.system.files import full

FOLDER = "blobs"
PARTIAL = ".partial"
TEMPORARY = ".tmp-"
FORGOTTEN = 7 * 86400.0  # seconds after which an unfinished download is given up
TURN = 0.05  # seconds between two looks at a file that another writes
SPARE = 16 * 2**20  # bytes that stay free whatever is written


class Blobs:
    """The blobs of a store. Blocks: use in threads. Digests are ``sha256:`` and 64 hex digits."""

    def __init__(self, directory: ConfinedDirectory) -> None:
        self._directory = directory

    def size(self, digest: str) -> int | None:
        """Return the bytes of a blob; None when it is not here."""
        found = self._directory.stat(FOLDER, _file(digest))
        return found.st_size if found is not None and stat.S_ISREG(found.st_mode) else None

    def open(self, digest: str) -> BinaryIO:
        """Open a blob for reading. Raises InvalidRequest when there is none."""
        try:
            return os.fdopen(self._directory.open(FOLDER, _file(digest)), "rb")
        except FileNotFoundError as error:
            raise InvalidRequest(f"blob {digest} not found", param="digest") from error

    def whole(self, digest: str) -> bool:
        """Return True if the blob is here and its bytes hash to its name. Blocks for a read of all of it."""
        if self.size(digest) is None:
            return False
        with self.open(digest) as file:
            return sha256(file) == hex_of(digest)

    def remove(self, digest: str) -> None:
        self._directory.unlink(FOLDER, _file(digest))

    def digests(self) -> list[str]:
        """Return the digests of all complete blobs."""
        return [f"sha256:{name[7:]}" for name in self._directory.names(FOLDER) if _is_blob(name)]

    def partial_size(self, digest: str) -> int:
        found = self._directory.stat(FOLDER, _file(digest) + PARTIAL)
        return found.st_size if found is not None else 0

    @contextmanager
    def partial(self, digest: str | None, wait: Callable[[], None] = lambda: None) -> Iterator[tuple[str, BinaryIO]]:
        """Yield the name, for :meth:`keep`, and the file to write to, positioned at its end.

        With a digest, what an earlier download left is in it and stays when this one breaks off; without, it is new and
        goes. One at a time has a digest's file: others call ``wait`` until it is theirs, and may find the blob then.
        """
        name = f"{TEMPORARY}{os.getpid()}-{secrets.token_hex(8)}" if digest is None else _file(digest) + PARTIAL
        with self._mine(name, wait) as file:
            file.seek(0, os.SEEK_END)
            try:
                yield name, file
            finally:
                if digest is None:
                    self._directory.unlink(FOLDER, name)

    def _mine(self, name: str, wait: Callable[[], None]) -> BinaryIO:
        """Open and lock a partial file; again if it was renamed to a blob or removed before the lock was ours."""
        while True:
            file = os.fdopen(self._directory.open(FOLDER, name, flags=os.O_RDWR | os.O_CREAT, create=True), "r+b")
            try:
                fcntl.flock(file.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)
                there = self._directory.stat(FOLDER, name)
                if there is not None and there.st_ino == os.fstat(file.fileno()).st_ino:
                    return file
            except BlockingIOError:
                time.sleep(TURN)
            except BaseException:
                file.close()
                raise
            file.close()
            wait()

    def keep(self, name: str, file: BinaryIO, *, want: str | None) -> tuple[str, int]:
        """Give the file its final name; return the digest and the size of the bytes on disk.

        Raises InvalidRequest, and the file is gone, when that is not the digest ``want``.
        """
        file.flush()
        os.fsync(file.fileno())
        with os.fdopen(self._directory.open(FOLDER, name), "rb") as written:
            found = f"sha256:{sha256(written)}"
            size = os.fstat(written.fileno()).st_size
        if want is not None and hex_of(found) != hex_of(want):
            self._directory.unlink(FOLDER, name)
            raise Refused(
                f"The content has the digest {found}, not {want}.",
                reason="digest_mismatch",
                param="digest",
                details=(want, found),
            )
        self._directory.rename((FOLDER,), name, _file(found))
        return found, size

    def drop(self, name: str) -> None:
        """Remove the file that :meth:`partial` made."""
        self._directory.unlink(FOLDER, name)

    def need(self, size: int) -> None:
        """Raise StoreFailed when ``size`` more bytes would not fit on the disk."""
        self._directory.root.mkdir(parents=True, exist_ok=True)
        free = shutil.disk_usage(self._directory.root).free - SPARE
        if size > free:
            raise StoreFailed(f"not enough space on the disk: {size} bytes are needed and {max(free, 0)} are free")

    def collect(self, *, kept: frozenset[str], age: float) -> None:
        """Drop blobs that are not ``kept`` and temporary files of the dead, both last changed ``age`` seconds ago."""
        for name in self._directory.names(FOLDER):
            found = self._directory.stat(FOLDER, name)
            if found is None:
                continue
            old = time.time() - found.st_mtime >= age
            if name.endswith(PARTIAL) and time.time() - found.st_mtime >= FORGOTTEN:
                self._directory.unlink(FOLDER, name)
            orphan = _is_blob(name) and f"sha256:{name[7:]}" not in kept and old
            if orphan or (name.startswith(TEMPORARY) and (not _alive(name) or (old and age > 0))):
                self._directory.unlink(FOLDER, name)


def sha256(file: BinaryIO) -> str:
    """Return the hex digest of the bytes from the file's position to its end."""
    state = hashlib.sha256()
    while piece := file.read(2**20):
        state.update(piece)
    return state.hexdigest()


def failed(error: OSError) -> StoreFailed:
    """Return ``error`` as an error of the store."""
    return StoreFailed("not enough space on the disk" if full(error) else f"the store failed: {error.strerror}")


def _file(digest: str) -> str:
    return f"sha256-{hex_of(digest)}"


def _is_blob(name: str) -> bool:
    return len(name) == 71 and name.startswith("sha256-")


def _alive(name: str) -> bool:
    pid = name.removeprefix(TEMPORARY).partition("-")[0]
    try:
        os.kill(int(pid), 0)
    except (ValueError, ProcessLookupError):
        return False
    except PermissionError:
        return True
    return True


__all__ = ("FOLDER", "PARTIAL", "SPARE", "TEMPORARY", "Blobs", "failed", "sha256")

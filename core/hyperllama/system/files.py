"""Files on disk: written whole or not at all, locked, and the reason why a write failed. Everything here blocks."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import secrets
from pathlib import Path

PREFIX = ".tmp-"
SPARE = 256 * 2**20  # bytes of a disk that callers' files leave free, so that what is counted can still be written
SPARE_SHARE = 0.05  # of a small disk


def full(error: OSError) -> bool:
    """Return whether the disk, a quota or a limit on files was the reason."""
    return error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


def free_bytes(folder: Path) -> int:
    """Return how many bytes callers may still write on the disk of ``folder``; never negative."""
    found = os.statvfs(folder)
    spare = min(SPARE, int(found.f_blocks * found.f_frsize * SPARE_SHARE))
    return max(found.f_bavail * found.f_frsize - spare, 0)


def create_folder(folder: Path) -> None:
    """Create ``folder`` and its parents, readable by their owner alone, unless they exist."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)


def sync_folder(folder: Path) -> None:
    """Flush the names in ``folder`` to the disk."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_all(descriptor: int, data: bytes) -> None:
    """Write every byte of ``data``; a disk that fills up half way raises OSError."""
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(descriptor, rest) :]


class Draft:
    """A new file under a temporary name, in the folder of the file that it becomes.

    Nothing is buffered, so that closing never fails. End it with :meth:`commit` or :meth:`discard`; a draft whose
    commit failed is to be discarded too.
    """

    def __init__(self, folder: Path, *, mode: int = 0o600) -> None:
        """Create the folder and the file. Raises OSError, and then leaves no file."""
        create_folder(folder)
        self.path = folder / f"{PREFIX}{secrets.token_hex(16)}"
        flags = os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC
        self._descriptor = os.open(self.path, flags, mode)

    def write(self, data: bytes) -> None:
        """Append ``data``. Raises OSError."""
        write_all(self._descriptor, data)

    def commit(self, name: str, *, replace: bool = True) -> None:
        """Flush the file to the disk and give it its final name; ``path`` is that from then on.

        Raises OSError; FileExistsError without ``replace`` when the name is taken.
        """
        os.fsync(self._descriptor)
        self._close()
        final = self.path.with_name(name)
        if replace:
            self.path.rename(final)
        else:
            os.link(self.path, final)
            self.path.unlink()
        self.path = final
        sync_folder(final.parent)

    def discard(self) -> None:
        """Close and remove the file, whatever name it has. May be repeated."""
        try:
            self._close()
        finally:
            self.path.unlink(missing_ok=True)

    def _close(self) -> None:
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            os.close(descriptor)


def write_whole(path: Path, data: bytes, *, replace: bool = True, mode: int = 0o600) -> None:
    """Write ``data`` to ``path`` so that the file is there whole, even after a crash, or not at all.

    Raises OSError and leaves what was there; FileExistsError without ``replace`` when there is a file already.
    """
    draft = Draft(path.parent, mode=mode)
    try:
        draft.write(data)
        draft.commit(path.name, replace=replace)
    except BaseException:
        if draft.path != path:
            with contextlib.suppress(OSError):
                draft.discard()
        raise


def lock(descriptor: int, *, wait: bool = True) -> bool:
    """Lock an open file until it is closed. Without ``wait``, return False when another process has it."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def open_locked(path: Path, *, wait: bool = True) -> int | None:
    """Open ``path``, created if need be, and lock it until the descriptor is closed.

    Without ``wait``, return None when another process has it. Raises OSError.
    """
    create_folder(path.parent)
    descriptor = os.open(path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
    try:
        if lock(descriptor, wait=wait):
            return descriptor
    except BaseException:
        os.close(descriptor)
        raise
    os.close(descriptor)
    return None


__all__ = (
    "PREFIX",
    "Draft",
    "create_folder",
    "free_bytes",
    "full",
    "lock",
    "open_locked",
    "sync_folder",
    "write_all",
    "write_whole",
)

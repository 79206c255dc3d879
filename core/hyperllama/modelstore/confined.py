"""Opens within one directory, part by part from its root, without following a link."""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_MARK = ".changed"


class ConfinedDirectory:
    """A directory and what is under it. Parts of a path come one by one, are never joined. Blocks: use in threads."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._mark = root / _MARK

    @contextmanager
    def folder(self, *parts: str, create: bool = False) -> Iterator[int]:
        """Open the directory and yield its descriptor. Raises OSError where it is absent or a link."""
        if create:
            self.root.mkdir(parents=True, exist_ok=True)
        here = os.open(self.root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            for part in parts:
                _check(part)
                if create:
                    with suppress(FileExistsError):
                        os.mkdir(part, 0o755, dir_fd=here)
                below = os.open(part, _FOLDER, dir_fd=here)
                os.close(here)
                here = below
            yield here
        finally:
            os.close(here)

    def open(self, *parts: str, flags: int = os.O_RDONLY, create: bool = False) -> int:
        """Return a descriptor of the file at ``parts``. Raises OSError for a link."""
        with self.folder(*parts[:-1], create=create) as folder:
            _check(parts[-1])
            return os.open(parts[-1], flags | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK, 0o644, dir_fd=folder)

    def rename(self, folder: tuple[str, ...], old: str, new: str) -> None:
        """Rename a file within one folder and sync the folder to the disk."""
        with self.folder(*folder) as here:
            _check(old)
            _check(new)
            os.rename(old, new, src_dir_fd=here, dst_dir_fd=here)
            os.fsync(here)

    def unlink(self, *parts: str) -> None:
        """Remove a file, if it is there."""
        with suppress(FileNotFoundError), self.folder(*parts[:-1]) as folder:
            _check(parts[-1])
            os.unlink(parts[-1], dir_fd=folder)

    def names(self, *parts: str) -> list[str]:
        """Return the sorted names in a folder; none where the folder is absent."""
        try:
            with self.folder(*parts) as folder:
                return sorted(os.listdir(folder))  # noqa: PTH208 - of a descriptor
        except FileNotFoundError:
            return []

    def stat(self, *parts: str) -> os.stat_result | None:
        """Return the status of a file, not of a link's target; None when it is absent."""
        try:
            with self.folder(*parts[:-1]) as folder:
                _check(parts[-1])
                return os.stat(parts[-1], dir_fd=folder, follow_symlinks=False)
        except FileNotFoundError:
            return None

    def mark(self) -> None:
        """Record a change: :meth:`marked` returns another value from now on, in every process."""
        mark = self.open(_MARK, flags=os.O_WRONLY | os.O_CREAT, create=True)
        try:
            now = time.time_ns()
            os.utime(mark, ns=(now, now))
        finally:
            os.close(mark)

    def marked(self) -> int:
        """Return the nanoseconds of the last :meth:`mark`; 0: never. One system call, fit for the event loop."""
        try:
            return self._mark.lstat().st_mtime_ns
        except OSError:
            return 0

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the lock of the directory, which one process or thread has at a time. Blocks."""
        lock = self.open(".lock", flags=os.O_RDWR | os.O_CREAT, create=True)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield
        finally:
            os.close(lock)


def _check(part: str) -> None:
    if part in ("", ".", "..") or "/" in part or "\0" in part:
        raise ValueError(f"{part!r} is no part of a path")


__all__ = ("ConfinedDirectory",)

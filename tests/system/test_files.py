"""Files are written whole or not at all, whichever call to the system fails."""

from __future__ import annotations

import errno
import os
import stat
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from hyperllama.system import files

CALLS = ("open", "write", "fsync", "rename", "link")


class FullDisk:
    """The ``at``-th system call of this module that needs the disk fails for want of space."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.at = 10**9
        self.seen = 0
        for name in CALLS:
            patch.setattr(os, name, self._wrapped(getattr(os, name)))

    def _wrapped(self, call):
        def wrapped(*args, **kwargs):
            caller = sys._getframe(1)
            if caller.f_globals["__name__"] in (files.__name__, "pathlib"):
                self.seen += 1
                if self.seen == self.at:
                    raise OSError(errno.ENOSPC, "No space left on device")
            return call(*args, **kwargs)

        return wrapped


@pytest.fixture
def disk(monkeypatch) -> Iterator[FullDisk]:
    with monkeypatch.context() as patch:
        yield FullDisk(patch)


@pytest.mark.parametrize("replace", [True, False])
def test_a_write_that_fails_anywhere_leaves_what_was_there(tmp_path: Path, disk: FullDisk, replace: bool) -> None:
    path = tmp_path / "file"
    if replace:
        files.write_whole(path, b"old")
    disk.seen = 0
    files.write_whole(tmp_path / "other", b"new", replace=replace)
    steps = disk.seen
    assert steps >= 4  # open, write, fsync, a name
    for at in range(1, steps + 1):
        disk.at, disk.seen = at, 0
        with pytest.raises(OSError, match="space") as failed:
            files.write_whole(path, b"new", replace=replace)
        disk.at = 10**9
        assert files.full(failed.value)
        there = path.read_bytes() if path.exists() else None
        assert there in (b"new", b"old" if replace else None)
        assert {name.name for name in tmp_path.iterdir()} <= {"file", "other"}
        path.unlink(missing_ok=True)
        if replace:
            files.write_whole(path, b"old")
    files.write_whole(path, b"newest", replace=replace)
    assert path.read_bytes() == b"newest"


def test_without_replace_a_name_that_is_taken_stays(tmp_path: Path) -> None:
    files.write_whole(tmp_path / "file", b"first", replace=False)
    with pytest.raises(FileExistsError):
        files.write_whole(tmp_path / "file", b"second", replace=False)
    assert [path.read_bytes() for path in tmp_path.iterdir()] == [b"first"]


def test_a_draft_that_is_discarded_is_gone_and_may_be_discarded_again(tmp_path: Path) -> None:
    draft = files.Draft(tmp_path / "new")
    draft.write(b"x" * 100_000)
    assert stat.S_IMODE(draft.path.stat().st_mode) == 0o600
    draft.discard()
    draft.discard()
    assert not list((tmp_path / "new").iterdir())


def test_a_write_that_the_disk_takes_half_of_is_continued(tmp_path: Path, monkeypatch) -> None:
    write = os.write
    monkeypatch.setattr(os, "write", lambda descriptor, data: write(descriptor, data[:3]))
    files.write_whole(tmp_path / "file", b"0123456789")
    assert (tmp_path / "file").read_bytes() == b"0123456789"


def test_a_lock_is_one_holders_at_a_time(tmp_path: Path) -> None:
    first = files.open_locked(tmp_path / "lock")
    assert first is not None
    assert files.open_locked(tmp_path / "lock", wait=False) is None
    os.close(first)
    again = files.open_locked(tmp_path / "lock", wait=False)
    assert again is not None
    os.close(again)

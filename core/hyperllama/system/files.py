"""Files on disk: why a write failed."""

from __future__ import annotations

import errno


def full(error: OSError) -> bool:
    """Whether the disk, a quota or a limit on files was the reason."""
    return error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


__all__ = ("full",)

"""Load times of models, kept on disk, so that the next load can report its progress."""

from __future__ import annotations

import asyncio
from pathlib import Path

import msgspec
import structlog

from hyperllama.models import ModelInfo
from hyperllama.system.files import write_whole

log = structlog.get_logger(__name__)


class LoadTimes:
    """The last load time of each model. ``path`` is a JSON file, read once; None: nothing is kept on disk."""

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._seconds = _read(path)

    def estimate(self, info: ModelInfo) -> float | None:
        """Return the seconds of the last load; None for a model that was never loaded."""
        return self._seconds.get(_key(info))

    async def record(self, info: ModelInfo, seconds: float) -> None:
        """Record a load time and write it in a thread. An error of the disk is only logged."""
        self._seconds[_key(info)] = round(seconds, 2)
        if self._path is not None:
            await asyncio.to_thread(_write, self._path, dict(self._seconds))


def _key(info: ModelInfo) -> str:
    return f"{info.name} {info.digest[:12]}"


def _read(path: Path | None) -> dict[str, float]:
    if path is None:
        return {}
    try:
        return msgspec.json.decode(path.read_bytes(), type=dict[str, float])
    except (OSError, msgspec.DecodeError):
        return {}


def _write(path: Path, seconds: dict[str, float]) -> None:
    try:
        write_whole(path, msgspec.json.encode(seconds), mode=0o644)
    except OSError as error:
        log.warning("load times not kept", reason=error.strerror)


__all__ = ("LoadTimes",)

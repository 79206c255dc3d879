"""Apply a changed configuration while serving: checked first, applied whole or not at all."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import TypeAlias

import msgspec
import structlog

from hyperllama import config as configuration
from hyperllama.app.application import Application
from hyperllama.catalog.entry import Entry
from hyperllama.config import Config
from hyperllama.database.audit import Act
from hyperllama.errors import ConfigError
from hyperllama.system.terminal import one_line

#: A file's time of change and inode; None: it cannot be read.
Stamp: TypeAlias = "tuple[int, int] | None"

log = structlog.get_logger(__name__)

LIVE = ("models", "limits", "queue")  # every other table needs a restart
INTERVAL = 1.0  # seconds between looks at the file


class Reloader:
    """Applies the file ``path`` on request and when it changes. Run :meth:`watch` for as long as the gateway serves.

    Whatever a file holds or an engine makes of it, the old configuration stays, the reason is logged, and the next
    good file is applied.
    """

    def __init__(self, app: Application, path: Path, *, seen: Stamp | None = None) -> None:
        """Watch the file. ``seen``: stamp of the file that ``app`` was built from; None: as it is now."""
        self._app = app
        self._path = path
        self._seen = seen or stamp(path)
        self._requested = asyncio.Event()

    def request(self) -> None:
        """Reload soon. Safe in a signal handler of the event loop."""
        self._requested.set()

    async def watch(self) -> None:
        """Reload on request, or when the file is not the one seen last, until cancelled."""
        while True:
            if (now := stamp(self._path)) != self._seen:
                self._seen = now
            else:
                try:
                    async with asyncio.timeout(INTERVAL):
                        await self._requested.wait()
                except TimeoutError:
                    continue
            self._requested.clear()
            await self.reload()

    async def reload(self) -> bool:
        """Return whether the file is in force now. If not, log the reason; raise nothing."""
        try:
            new = await asyncio.to_thread(configuration.load, self._path)
            changed = self._changed(new)
            entries = await asyncio.to_thread(self._described, new)
            self._apply(new, entries)
        except Exception as error:  # noqa: BLE001 - an engine's or a plugin's; reloading must go on
            await self._refused(error)
            return False
        if changed:
            log.info("configuration applied", changed=changed)
            await self._record("done", changed=changed)
        return True

    async def _refused(self, error: Exception) -> None:
        reason = one_line(error)
        if not isinstance(error, ConfigError):
            reason = f"{type(error).__name__}: {reason}"
        log.error("configuration not applied, the old one stays", reason=reason)
        await self._record("refused", reason=reason)

    async def _record(self, outcome: str, **detail: object) -> None:
        """Write to the audit log; who changed the file is not known."""
        act = Act(act="config.reload", actor="file", subject=self._path.name, outcome=outcome, detail=detail)
        await self._app.storage.audit.record(act)

    def _changed(self, new: Config) -> list[str]:
        """Return the keys that differ. Raise ConfigError when one of them needs a restart."""
        changed = _difference(self._app.config, new)
        fixed = [key for key in changed if key.split(".", 1)[0] not in LIVE or key == "limits.storage"]
        if fixed:
            raise ConfigError(f"{self._path}: {', '.join(fixed)}: Needs a restart of the gateway.")
        return changed

    def _described(self, new: Config) -> list[Entry]:
        old = self._app.config.models
        specs = [spec for name, spec in new.models.items() if old.get(name) != spec]
        self._app.models.check(specs)
        return [self._app.catalog.describe(spec) for spec in specs]

    def _apply(self, new: Config, entries: Sequence[Entry]) -> None:
        app, old = self._app, self._app.config
        for name in old.models.keys() - new.models.keys():
            app.catalog.remove(name)
        for entry in entries:
            app.catalog.put(entry)
            if entry.spec.preload:
                app.catalog.preload(entry)
        app.apply(new)


def _difference(old: Config, new: Config) -> list[str]:
    """Return the ``table.key`` of each difference, in the order of the schema; of models, the model."""
    found = []
    for table in Config.__struct_fields__:
        before, after = getattr(old, table), getattr(new, table)
        if before == after:
            continue
        if isinstance(before, msgspec.Struct):
            keys: Sequence[str] = before.__struct_fields__
            found += [f"{table}.{key}" for key in keys if getattr(before, key) != getattr(after, key)]
        else:
            names = sorted(before.keys() | after.keys())
            found += [f"{table}.{name}" for name in names if before.get(name) != after.get(name)]
    return found


def stamp(path: Path) -> Stamp:
    """Return what tells one version of a file from the next."""
    try:
        status = path.stat()
    except (OSError, ValueError):
        return None
    return status.st_mtime_ns, status.st_ino


__all__ = ("Reloader", "Stamp", "stamp")

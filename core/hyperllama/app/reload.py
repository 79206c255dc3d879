"""A changed configuration, taken on while serving: checked first, applied whole or not at all."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path

import msgspec
import structlog

from hyperllama import config as configuration
from hyperllama.app.application import Application
from hyperllama.catalog.catalog import Entry
from hyperllama.config import Config
from hyperllama.database.audit import Act
from hyperllama.errors import ConfigError

log = structlog.get_logger(__name__)

LIVE = ("models", "limits", "queue")  # every other table needs a restart
LOOK = 1.0  # seconds between looks at the file


class Reloader:
    """Takes on the file ``path`` when asked and when it changes. Enter nothing, close nothing: run :meth:`watch`."""

    def __init__(self, app: Application, path: Path) -> None:
        self._app = app
        self._path = path
        self._asked = asyncio.Event()

    def ask(self) -> None:
        """Reload soon. Safe in a signal handler of the event loop."""
        self._asked.set()

    async def watch(self) -> None:
        """Until cancelled: reload when asked, or when the file is another than before."""
        seen = _stamp(self._path)
        while True:
            try:
                async with asyncio.timeout(LOOK):
                    await self._asked.wait()
            except TimeoutError:
                if (now := _stamp(self._path)) == seen:
                    continue
                seen = now
            self._asked.clear()
            await self.reload()

    async def reload(self) -> bool:
        """Whether the file was taken on; why not is logged."""
        try:
            new = await asyncio.to_thread(configuration.load, self._path)
            changed = self._changed(new)
            entries = await asyncio.to_thread(self._described, new)
        except ConfigError as error:
            log.error("configuration not taken on, the old one stays", reason=str(error))
            await self._kept("refused", reason=str(error))
            return False
        if not changed:
            return True
        self._apply(new, entries)
        log.info("configuration taken on", changed=changed)
        await self._kept("done", changed=changed)
        return True

    async def _kept(self, outcome: str, **detail: object) -> None:
        """In the audit log; whose doing it was, only the file knows."""
        act = Act(act="config.reload", actor="file", subject=self._path.name, outcome=outcome, detail=detail)
        await self._app.storage.audit.record(act)

    def _changed(self, new: Config) -> list[str]:
        """Keys that differ. Raises ConfigError when one of them needs a restart."""
        changed = _difference(self._app.config, new)
        fixed = [key for key in changed if key.split(".", 1)[0] not in LIVE or key == "limits.storage"]
        if fixed:
            raise ConfigError(f"{self._path}: {', '.join(fixed)}: needs a restart of the gateway")
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
    """``table.key`` of all that differs, in the file's order; of models, the model."""
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


def _stamp(path: Path) -> tuple[int, int] | None:
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_mtime_ns, status.st_ino


__all__ = ("Reloader",)

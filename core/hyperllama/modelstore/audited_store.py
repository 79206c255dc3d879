"""The model store as those who change it see it: what they do is in the audit log, what they upload is counted."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing

from hyperllama.database.audit import Actor, AuditLog
from hyperllama.identity import Caller
from hyperllama.modelstore.disk_store import DiskModelStore
from hyperllama.modelstore.upload_quota import UploadQuota
from hyperllama.spi import Progress, Recipe


class AuditedStore:
    """A :class:`DiskModelStore` whose changes are in the audit log, and whose uploads count against a quota."""

    def __init__(self, store: DiskModelStore, audit: AuditLog, room: UploadQuota | None = None) -> None:
        """Wrap ``store``; ``room`` None: uploads are not limited."""
        self._store = store
        self._audit = audit
        self._room = room

    @property
    def quantizations(self) -> tuple[str, ...]:
        return self._store.quantizations

    def refresh(self) -> None:
        self._store.refresh()

    def pull(self, name: str, caller: Caller, *, insecure: bool = False) -> AsyncGenerator[Progress, None]:
        return self._watched("models.pull", name, caller, self._store.pull(name, caller, insecure=insecure))

    def create(self, request: Recipe, name: str, caller: Caller) -> AsyncGenerator[Progress, None]:
        return self._watched("models.create", name, caller, self._store.create(request, name, caller))

    def push(self, name: str, caller: Caller, *, insecure: bool = False) -> AsyncGenerator[Progress, None]:
        return self._watched("models.push", name, caller, self._store.push(name, caller, insecure=insecure))

    async def copy(self, source: str, destination: str, caller: Caller) -> None:
        async with self._audit.watching("models.copy", destination, Actor.of(caller), source=source):
            await self._store.copy(source, destination, caller)

    async def delete(self, name: str, caller: Caller) -> None:
        async with self._audit.watching("models.delete", name, Actor.of(caller)):
            await self._store.delete(name, caller)

    async def has_blob(self, digest: str, caller: Caller) -> bool:
        return await self._store.has_blob(digest, caller)

    async def put_blob(self, digest: str, content: AsyncIterator[bytes], caller: Caller) -> bool:
        if self._room is None:
            return await self._store.put_blob(digest, content, caller)
        owner = caller.principal.id
        async with self._room.counting(owner, content) as counted:
            new = await self._store.put_blob(digest, counted, caller)
            if new:
                await self._room.took(owner, digest)
        return new

    async def _watched(
        self, act: str, name: str, caller: Caller, steps: AsyncGenerator[Progress, None]
    ) -> AsyncGenerator[Progress, None]:
        async with self._audit.watching(act, name, Actor.of(caller)), aclosing(steps):
            async for step in steps:
                yield step


__all__ = ("AuditedStore",)

"""The bytes of the model store that each key's uploads take, and their limit."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, asynccontextmanager

from hyperllama.database import sql
from hyperllama.database.database import Database
from hyperllama.errors import PayloadTooLarge
from hyperllama.modelstore.blobs import Blobs


class UploadQuota:
    """A limit of uploads for each key. A blob counts for its first uploader, for as long as it is there."""

    def __init__(self, database: Database, blobs: Blobs, most: int) -> None:
        """Set the limit: ``most`` bytes for the uploads of one key."""
        self._database = database
        self._blobs = blobs
        self._most = most
        self._arriving: Counter[str] = Counter()  # bytes of uploads that are under way

    @asynccontextmanager
    async def counting(
        self, owner: str, content: AsyncIterator[bytes]
    ) -> AsyncGenerator[AsyncGenerator[bytes, None], None]:
        """Hand on ``content``, which raises PayloadTooLarge when all that the owner has and sends is too much.

        What arrives counts until the end of the block: record the upload with :meth:`took` within.
        """
        taken = 0

        async def counted() -> AsyncGenerator[bytes, None]:
            nonlocal taken
            used = await self.used(owner)
            async for piece in content:
                taken += len(piece)
                self._arriving[owner] += len(piece)
                if used + self._arriving[owner] > self._most:
                    raise self._refusal()
                yield piece

        try:
            async with aclosing(counted()) as pieces:
                yield pieces
        finally:
            self._arriving[owner] -= taken
            if not self._arriving[owner]:
                del self._arriving[owner]

    async def used(self, owner: str) -> int:
        """Return the bytes of the owner's uploads that are still there."""
        async with self._database.begin() as connection:
            found = await sql.uploads.sizes(connection, owner)
            gone = await asyncio.to_thread(lambda: [name for name in found if self._blobs.size(name) is None])
            if gone:
                await sql.uploads.remove(connection, gone)
        return sum(found.values()) - sum(found[name] for name in gone)

    async def took(self, owner: str, digest: str) -> None:
        """Record a new blob of the owner. Raise PayloadTooLarge, and the blob is gone, when it is too much.

        Recorded first and summed then, one owner at a time: no two processes can both find room for the last bytes.
        """
        size = await asyncio.to_thread(self._blobs.size, digest)
        if size is None:
            return
        try:
            async with self._database.begin() as connection:
                await sql.uploads.lock(connection, owner)
                await sql.uploads.add(connection, owner, digest, size)
                if await sql.uploads.total(connection, owner) > self._most:
                    raise self._refusal()
        except PayloadTooLarge:
            await asyncio.to_thread(self._blobs.remove, digest)
            raise

    def _refusal(self) -> PayloadTooLarge:
        return PayloadTooLarge(
            f"What this key uploads may take {self._most} bytes, and this is more; delete models first."
        )


__all__ = ("UploadQuota",)

"""How much of the model store each key fills with what it uploads, and how much it may."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, asynccontextmanager
from typing import TYPE_CHECKING

from hyperllama.database.database import Database
from hyperllama.errors import PayloadTooLarge
from hyperllama.modelstore.blobs import Blobs

if TYPE_CHECKING:
    from sqlalchemy import Executable


class UploadQuota:
    """A blob counts for who brought it first, for as long as it is there."""

    def __init__(self, database: Database, blobs: Blobs, most: int) -> None:
        """``most``: bytes that the uploads of one key may take."""
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
        from sqlalchemy import delete, select

        from hyperllama.database.tables import uploads

        async with self._database.begin() as connection:
            mine = select(uploads.c.digest, uploads.c.bytes).where(uploads.c.owner == owner)
            found = {row.digest: int(row.bytes) for row in await connection.execute(mine)}
            gone = await asyncio.to_thread(lambda: [name for name in found if self._blobs.size(name) is None])
            if gone:
                await connection.execute(delete(uploads).where(uploads.c.digest.in_(gone)))
        return sum(found.values()) - sum(found[name] for name in gone)

    async def took(self, owner: str, digest: str) -> None:
        """Record a new blob of the owner. Raise PayloadTooLarge, and the blob is gone, when it is too much.

        Recorded first and summed then, one owner at a time: no two processes can both find room for the last bytes.
        """
        from sqlalchemy import func, select, text

        from hyperllama.database.tables import uploads

        size = await asyncio.to_thread(self._blobs.size, digest)
        if size is None:
            return
        try:
            async with self._database.begin() as connection:
                if connection.dialect.name == "postgresql":
                    await connection.execute(text("SELECT pg_advisory_xact_lock(hashtext(:owner))"), {"owner": owner})
                await connection.execute(_upsert(connection.dialect.name, owner, digest, size))
                total = await connection.scalar(select(func.sum(uploads.c.bytes)).where(uploads.c.owner == owner))
                if int(total or 0) > self._most:
                    raise self._refusal()
        except PayloadTooLarge:
            await asyncio.to_thread(self._blobs.remove, digest)
            raise

    def _refusal(self) -> PayloadTooLarge:
        return PayloadTooLarge(
            f"What this key uploads may take {self._most} bytes, and this is more; delete models first."
        )


def _upsert(dialect: str, owner: str, digest: str, size: int) -> Executable:
    from sqlalchemy.dialects import postgresql, sqlite

    from hyperllama.database.tables import uploads

    insert = postgresql.insert(uploads) if dialect == "postgresql" else sqlite.insert(uploads)
    return insert.values(digest=digest, owner=owner, bytes=size).on_conflict_do_update(
        index_elements=["digest"], set_={"owner": owner, "bytes": size}
    )


__all__ = ("UploadQuota",)

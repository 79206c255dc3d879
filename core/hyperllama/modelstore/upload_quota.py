"""How much of the model store each key fills with what it uploads, and how much it may."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
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

    async def counted(self, owner: str, content: AsyncIterator[bytes]) -> AsyncGenerator[bytes, None]:
        """``content``, until it is more than the owner has room for: raises PayloadTooLarge then."""
        left = self._most - await self.used(owner)
        async for piece in content:
            left -= len(piece)
            if left < 0:
                raise PayloadTooLarge(
                    f"What this key uploads may take {self._most} bytes, and this is more; delete models first."
                )
            yield piece

    async def used(self, owner: str) -> int:
        """Bytes of the owner's uploads that are still there."""
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
        """The owner brought this blob, and it was new."""
        size = await asyncio.to_thread(self._blobs.size, digest)
        if size is not None:
            async with self._database.begin() as connection:
                await connection.execute(_upsert(connection.dialect.name, owner, digest, size))


def _upsert(dialect: str, owner: str, digest: str, size: int) -> Executable:
    from sqlalchemy.dialects import postgresql, sqlite

    from hyperllama.database.tables import uploads

    insert = postgresql.insert(uploads) if dialect == "postgresql" else sqlite.insert(uploads)
    return insert.values(digest=digest, owner=owner, bytes=size).on_conflict_do_update(
        index_elements=["digest"], set_={"owner": owner, "bytes": size}
    )


__all__ = ("UploadQuota",)

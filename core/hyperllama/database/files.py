"""Files of callers: their bytes in the store's folder, whole or not there at all, and a row for each in a table.

Several gateways may share the database without sharing the folder: a file belongs to the folder it was written in, its
``place``, and is found only by gateways that have that one.
"""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import time
from collections import Counter
from collections.abc import AsyncGenerator, Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from hyperllama.config import Batches as Settings
from hyperllama.database import sql
from hyperllama.database.database import Database
from hyperllama.errors import GatewayError, NotFound, PayloadTooLarge, StorageFull, StoreFailed
from hyperllama.identity import Caller, Principal
from hyperllama.spi import FileInUse, KeptFile, UnknownFile
from hyperllama.system.files import PREFIX, Draft, free_bytes, full, write_whole

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncConnection

FOLDER = "files"
PLACE = ".place"
FORGOTTEN = 3600.0  # seconds after which a file that no table names is dropped
PIECE = 256 * 1024
SWEEP_WITHIN = 60.0  # seconds


class FileStore:
    """``hyperllama.spi.storage.Files``. Constructing opens and creates nothing."""

    def __init__(
        self, database: Database, directory: Path, settings: Settings, *, wall: Callable[[], float] = time.time
    ) -> None:
        self._database = database
        self._folder = directory / FOLDER
        self._settings = settings
        self._wall = wall
        self._place = ""
        self._incoming: Counter[str] = Counter()  # bytes of uploads under way, by owner

    @property
    def exists(self) -> bool:
        """True if there may be any file."""
        return self._folder.is_dir()

    async def place(self) -> str:
        """Return the name of this folder, given to it at first use. Raises StorageFull, StoreFailed."""
        if not self._place:
            try:
                self._place = await asyncio.to_thread(_place, self._folder)
            except OSError as error:
                raise _failed(error) from error
        return self._place

    @contextlib.asynccontextmanager
    async def receiving(self, caller: Caller) -> AsyncGenerator[UploadSink, None]:
        owner = caller.principal.id
        async with self._database.read() as connection:
            used, count = await sql.files.used(connection, owner)
            all_used, _ = await sql.files.used(connection)
        self._check(used + self._incoming[owner] + 1, count + 1, all_used + self._incoming.total() + 1)
        await self.place()
        draft = await self.draft()
        sink = UploadSink(self, owner, draft, used, all_used)
        try:
            yield sink
        finally:
            self._incoming[owner] -= sink.size
            if self._incoming[owner] <= 0:
                del self._incoming[owner]
            await asyncio.shield(asyncio.to_thread(sink.close))

    async def get(self, id: str, principal: Principal) -> KeptFile:
        async with self._database.read() as connection:
            return await self._get(connection, id, principal.id)

    async def page(
        self, principal: Principal, *, purpose: str | None, after: str | None, limit: int, newest_first: bool
    ) -> Sequence[KeptFile]:
        async with self._database.read() as connection:
            return await sql.files.page(
                connection,
                principal.id,
                now=self._wall(),
                purpose=purpose,
                after=after,
                limit=limit,
                newest_first=newest_first,
            )

    async def read(self, file: KeptFile) -> AsyncGenerator[bytes, None]:
        source = await asyncio.to_thread(self.open, file.id)
        try:
            while piece := await asyncio.to_thread(source.read, PIECE):
                yield piece
        finally:
            source.close()

    async def delete(self, id: str, principal: Principal) -> None:
        async with self._database.begin() as connection:
            file = await self._get(connection, id, principal.id)
            if await sql.files.in_use(connection, file.id):
                raise FileInUse
            await sql.files.remove(connection, file.id)
        await asyncio.to_thread(self.drop, file.id)

    def open(self, id: str) -> BinaryIO:
        """Open the bytes of a file. Raises NotFound. Blocks."""
        try:
            return (self._folder / id).open("rb")
        except FileNotFoundError as error:
            raise NotFound("The file's content is kept by another gateway, or is gone.") from error

    def drop(self, id: str) -> None:
        """Remove the bytes of a file. Blocks."""
        (self._folder / id).unlink(missing_ok=True)

    async def draft(self) -> Draft:
        """Create a file, for :meth:`write` and :meth:`settle`. Raises StorageFull, StoreFailed."""
        try:
            return await asyncio.to_thread(Draft, self._folder)
        except OSError as error:
            raise _failed(error) from error

    async def write(self, draft: Draft, piece: bytes) -> None:
        """Append ``piece``. Raises StorageFull, also when little more would fit on the disk; StoreFailed."""
        try:
            await asyncio.to_thread(_append, draft, piece)
        except OSError as error:
            raise _failed(error) from error

    async def settle(self, draft: Draft) -> str:
        """Give the draft its final name, which is the file's id. Raises StorageFull, StoreFailed."""
        name = f"file-{draft.path.name.removeprefix(PREFIX)}"
        try:
            await asyncio.to_thread(draft.commit, name)
        except OSError as error:
            raise _failed(error) from error
        return name

    async def insert(self, connection: AsyncConnection, file: KeptFile) -> None:
        """Insert the row of a file whose bytes are in place."""
        await sql.files.add(connection, file, await self.place())

    def describe(
        self, id: str, owner: str, *, filename: str, purpose: str, size: int, seconds: float | None
    ) -> KeptFile:
        """Return a new file that lives for ``seconds``; None: as long as the configuration sets."""
        life = self._settings.keep if seconds is None else seconds
        now = self._wall()
        expires = None if life == float("inf") else now + life
        return KeptFile(
            id=id, owner=owner, purpose=purpose, filename=filename, bytes=size, created=now, expires=expires
        )

    async def keep(self, file: KeptFile) -> None:
        """Insert the row of an upload. Raises PayloadTooLarge when uploads side by side were too much together."""
        await self.place()
        async with self._database.begin() as connection:
            await sql.files.lock(connection)
            await self.insert(connection, file)
            used, count = await sql.files.used(connection, file.owner)
            all_used, _ = await sql.files.used(connection)
            self._check(used, count, all_used)

    def count(self, owner: str, size: int, used: int, all_used: int) -> None:
        """Count bytes that an upload is about to write, beside what was ``used`` when it began.

        Raises PayloadTooLarge, StorageFull.
        """
        self._incoming[owner] += size
        self._check(used + self._incoming[owner], 0, all_used + self._incoming.total())

    @property
    def max_file_bytes(self) -> int:
        """Bytes that one file may have."""
        return self._settings.max_file_bytes

    async def sweep(self) -> None:
        """Drop what has expired, what no table names, and what dead gateways left half written."""
        if not self.exists:
            return
        place = await self.place()
        async with self._database.begin(within=SWEEP_WITHIN) as connection:
            expired = await sql.files.expire(connection, self._wall())
            known = await sql.files.ids(connection, place)
        for name in expired:
            await asyncio.to_thread(self.drop, name)
        await asyncio.to_thread(self._collect, known)

    def _check(self, used: int, count: int, all_used: int) -> None:
        """Raise when an owner's bytes or files, or the bytes of all, are more than they may be."""
        settings = self._settings
        if used > settings.max_key_bytes:
            most = settings.max_key_bytes
            raise PayloadTooLarge(f"The files of this key may take {most} bytes and do; delete some first.")
        if count > settings.max_key_files:
            most = settings.max_key_files
            raise PayloadTooLarge(f"This key has {most} files, which is as many as it may have; delete some first.")
        if all_used > settings.max_bytes:
            raise StorageFull("The gateway keeps as many bytes of files as it may; try again later.", retry_after=60)

    def _collect(self, known: set[str]) -> None:
        for path in self._folder.iterdir():
            if path.name in known or path.name == PLACE or path.name.endswith(".lock"):
                continue
            try:
                if time.time() - path.stat().st_mtime >= FORGOTTEN:
                    path.unlink()
            except FileNotFoundError:
                continue

    async def _get(self, connection: AsyncConnection, id: str, owner: str) -> KeptFile:
        file = await sql.files.get(connection, id, owner, now=self._wall())
        if file is None:
            raise UnknownFile(id)
        return file


class UploadSink:
    """An upload under a temporary name. ``used`` and ``all_used``: bytes of the owner and of all when it began."""

    def __init__(self, store: FileStore, owner: str, draft: Draft, used: int, all_used: int) -> None:
        self._store = store
        self._owner = owner
        self._draft = draft
        self._used = used
        self._all_used = all_used
        self._kept = False
        self.size = 0

    async def write(self, piece: bytes) -> None:
        most = self._store.max_file_bytes
        if self.size + len(piece) > most:
            raise PayloadTooLarge(f"The file is larger than the {most} bytes that it may have.")
        self.size += len(piece)
        self._store.count(self._owner, len(piece), self._used, self._all_used)
        await self._store.write(self._draft, piece)

    async def keep(self, *, filename: str, purpose: str, seconds: float | None) -> KeptFile:
        name = await self._store.settle(self._draft)
        file = self._store.describe(
            name, self._owner, filename=filename, purpose=purpose, size=self.size, seconds=seconds
        )
        await self._store.keep(file)
        self._kept = True
        return file

    def close(self) -> None:
        """Remove an upload that was not kept. Blocks."""
        if not self._kept:
            self._draft.discard()


def _append(draft: Draft, piece: bytes) -> None:
    if len(piece) > free_bytes(draft.path.parent):
        raise _no_space()
    draft.write(piece)


def _place(folder: Path) -> str:
    path = folder / PLACE
    if not path.exists():
        with contextlib.suppress(FileExistsError):  # another gateway was first
            write_whole(path, secrets.token_hex(16).encode("ascii"), replace=False)
    return path.read_text("ascii").strip()


def _no_space() -> StorageFull:
    return StorageFull("There is no space left for the file.")


def _failed(error: OSError) -> GatewayError:
    return _no_space() if full(error) else StoreFailed("The file could not be written.")


__all__ = ("FOLDER", "FileStore", "UploadSink")

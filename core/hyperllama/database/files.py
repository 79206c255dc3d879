"""Files of callers: their bytes in the store's folder, whole or not there at all, and what is known of them in a table.

Several gateways may share the database without sharing the folder: a file belongs to the folder it was written in, its
``place``, and is found only by gateways that have that one.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import secrets
import time
from collections.abc import AsyncGenerator, Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import structlog

from hyperllama.config import Batches as Settings
from hyperllama.config import parse_duration
from hyperllama.database.database import Database
from hyperllama.errors import GatewayError, InvalidRequest, NotFound, PayloadTooLarge, StoreFailed
from hyperllama.identity import Caller, Principal
from hyperllama.spi import ENDED, KeptFile
from hyperllama.system.files import full

if TYPE_CHECKING:
    from sqlalchemy import Row
    from sqlalchemy.ext.asyncio import AsyncConnection

FOLDER = "files"
TEMPORARY = ".tmp-"
PLACE = ".place"
FORGOTTEN = 3600.0  # seconds after which a file that no table knows is dropped
PIECE = 256 * 1024

log = structlog.get_logger(__name__)


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

    @property
    def exists(self) -> bool:
        """Whether there may be any file."""
        return self._folder.is_dir()

    @property
    def most(self) -> int:
        """Bytes of one file."""
        return self._settings.max_file_bytes

    def no_room(self) -> PayloadTooLarge:
        most = self._settings.max_key_bytes
        return PayloadTooLarge(f"The files of this key may take {most} bytes and do; delete some first.")

    async def place(self) -> str:
        """The name of this folder, given to it at first use."""
        if not self._place:
            self._place = await asyncio.to_thread(_place, self._folder)
        return self._place

    @contextlib.asynccontextmanager
    async def receiving(self, caller: Caller) -> AsyncGenerator[Sink, None]:
        owner = caller.principal.id
        room = self._settings.max_key_bytes - await self._used(owner)
        if room <= 0:
            raise self.no_room()
        try:
            await self.place()
            file = await asyncio.to_thread(_temporary, self._folder)
        except OSError as error:
            raise _failed(error) from error
        sink = Sink(self, owner, file, room)
        try:
            yield sink
        finally:
            await asyncio.shield(asyncio.to_thread(sink.drop))

    async def get(self, id: str, principal: Principal) -> KeptFile:
        async with self._database.begin() as connection:
            return await self._get(connection, id, principal.id)

    async def page(
        self, principal: Principal, *, purpose: str | None, after: str | None, limit: int, newest_first: bool
    ) -> Sequence[KeptFile]:
        from sqlalchemy import or_

        from hyperllama.database.pages import page
        from hyperllama.database.tables import files

        own = files.c.owner == principal.id
        own &= or_(files.c.expires.is_(None), files.c.expires > self._wall())
        if purpose is not None:
            own &= files.c.purpose == purpose
        async with self._database.begin() as connection:
            rows = await page(connection, files, own, after=after, limit=limit, newest_first=newest_first)
        return [_kept(row) for row in rows]

    async def read(self, file: KeptFile) -> AsyncGenerator[bytes, None]:
        source = await asyncio.to_thread(self.open, file.id)
        try:
            while piece := await asyncio.to_thread(source.read, PIECE):
                yield piece
        finally:
            source.close()

    async def delete(self, id: str, principal: Principal) -> None:
        from sqlalchemy import delete, func, select

        from hyperllama.database.tables import batches, files

        async with self._database.begin() as connection:
            file = await self._get(connection, id, principal.id)
            using = (batches.c.input_file == id) & batches.c.status.not_in(ENDED)
            if await connection.scalar(select(func.count()).select_from(batches).where(using)):
                raise InvalidRequest("A batch is being made from this file; cancel it first.", param="file_id")
            await connection.execute(delete(files).where(files.c.id == file.id))
        await asyncio.to_thread(self.drop, file.id)

    def open(self, id: str) -> BinaryIO:
        """Raises NotFound. Blocks."""
        try:
            return (self._folder / id).open("rb")
        except FileNotFoundError as error:
            raise NotFound("The file's content is kept by another gateway, or is gone.") from error

    def drop(self, id: str) -> None:
        """Its bytes. Blocks."""
        (self._folder / id).unlink(missing_ok=True)

    def writing(self) -> tuple[BinaryIO, Callable[[], str]]:
        """A file of our own making, and what gives it its name when it is written. Blocks, both."""
        file = _temporary(self._folder)
        return file, lambda: _settle(file)

    async def insert(self, connection: AsyncConnection, file: KeptFile) -> None:
        """What is known of a file whose bytes are in place."""
        from sqlalchemy import insert

        from hyperllama.database.tables import files

        row = {field: getattr(file, field) for field in KeptFile.__struct_fields__}
        await connection.execute(insert(files).values(**row, place=await self.place()))

    def described(
        self, id: str, owner: str, *, filename: str, purpose: str, size: int, seconds: float | None
    ) -> KeptFile:
        """A new file, with the time it has."""
        life = parse_duration(self._settings.keep) if seconds is None else seconds
        now = self._wall()
        expires = None if life == float("inf") else now + life
        return KeptFile(
            id=id, owner=owner, purpose=purpose, filename=filename, bytes=size, created=now, expires=expires
        )

    async def keep(self, file: KeptFile) -> None:
        """Whose bytes are in place. Raises PayloadTooLarge when uploads side by side were too much together."""
        try:
            async with self._database.begin() as connection:
                await one_at_a_time(connection, f"files of {file.owner}")
                await self.insert(connection, file)
                if await self._used(file.owner, connection) > self._settings.max_key_bytes:
                    raise self.no_room()
        except BaseException:
            await asyncio.shield(asyncio.to_thread(self.drop, file.id))
            raise

    async def sweep(self) -> None:
        """Drop what has expired, what no table knows, and what the dead left half written."""
        if not self.exists:
            return
        from sqlalchemy import delete, select

        from hyperllama.database.tables import batches, files

        place = await self.place()
        async with self._database.begin() as connection:
            used = select(batches.c.input_file).where(batches.c.status.not_in(ENDED))
            over = (files.c.expires <= self._wall()) & files.c.id.not_in(used)
            gone = (await connection.execute(delete(files).where(over).returning(files.c.id))).scalars().all()
            known = set(await connection.scalars(select(files.c.id).where(files.c.place == place)))
        for name in gone:
            await asyncio.to_thread(self.drop, name)
        await asyncio.to_thread(self._collect, known)

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
        from sqlalchemy import select

        from hyperllama.database.tables import files

        wanted = (files.c.id == id) & (files.c.owner == owner)
        row = (await connection.execute(select(files).where(wanted))).one_or_none()
        if row is None or (row.expires is not None and row.expires <= self._wall()):
            raise NotFound(f"No such File object: {id[:80]}", param="id")
        return _kept(row)

    async def _used(self, owner: str, connection: AsyncConnection | None = None) -> int:
        from sqlalchemy import func, select

        from hyperllama.database.tables import files

        total = select(func.coalesce(func.sum(files.c.bytes), 0)).where(files.c.owner == owner)
        if connection is not None:
            return int(await connection.scalar(total) or 0)
        async with self._database.begin() as own:
            return int(await own.scalar(total) or 0)


class Sink:
    """A file on its way in, under a temporary name."""

    def __init__(self, store: FileStore, owner: str, file: BinaryIO, room: int) -> None:
        self._store = store
        self._owner = owner
        self._file = file
        self._room = room
        self._size = 0
        self._kept = False

    async def write(self, piece: bytes) -> None:
        self._size += len(piece)
        if self._size > (most := self._store.most):
            raise PayloadTooLarge(f"The file is larger than the {most} bytes that it may have.")
        if self._size > self._room:
            raise self._store.no_room()
        try:
            await asyncio.to_thread(self._file.write, piece)
        except OSError as error:
            raise _failed(error) from error

    async def keep(self, *, filename: str, purpose: str, seconds: float | None) -> KeptFile:
        try:
            name = await asyncio.to_thread(_settle, self._file)
        except OSError as error:
            raise _failed(error) from error
        self._kept = True
        kept = self._store.described(
            name, self._owner, filename=filename, purpose=purpose, size=self._size, seconds=seconds
        )
        await self._store.keep(kept)
        return kept

    def drop(self) -> None:
        """What was not kept. Blocks."""
        self._file.close()
        if not self._kept:
            Path(self._file.name).unlink(missing_ok=True)


async def one_at_a_time(connection: AsyncConnection, what: str) -> None:
    """PostgreSQL's transactions do not see each other's rows; SQLite has one that writes at a time anyway."""
    if connection.dialect.name == "postgresql":
        from sqlalchemy import func, select

        await connection.execute(select(func.pg_advisory_xact_lock(func.hashtext(what))))


def _temporary(folder: Path) -> BinaryIO:
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    path = folder / f"{TEMPORARY}{secrets.token_hex(16)}"
    return open(path, "xb", PIECE, opener=lambda name, flags: os.open(name, flags, 0o600))


def _settle(file: BinaryIO) -> str:
    file.flush()
    os.fsync(file.fileno())
    file.close()
    path = Path(file.name)
    name = f"file-{path.name.removeprefix(TEMPORARY)}"
    path.rename(path.with_name(name))
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
    return name


def _place(folder: Path) -> str:
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    path = folder / PLACE
    if not path.exists():
        new = path.with_name(f"{TEMPORARY}{secrets.token_hex(16)}")
        new.write_text(secrets.token_hex(16), "ascii")
        try:
            with contextlib.suppress(FileExistsError):  # another was first
                os.link(new, path)
        finally:
            new.unlink()
    return path.read_text("ascii").strip()


def _kept(row: Row[Any]) -> KeptFile:
    return KeptFile(**{field: getattr(row, field) for field in KeptFile.__struct_fields__})


def _failed(error: OSError) -> GatewayError:
    return StoreFailed("There is no space left for the file." if full(error) else "The file could not be written.")


__all__ = ("FOLDER", "FileStore", "Sink", "one_at_a_time")

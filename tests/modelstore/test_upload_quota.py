from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from hyperllama.config import Admin
from hyperllama.database.audit import AuditLog
from hyperllama.errors import PayloadTooLarge
from hyperllama.identity import Caller, Principal
from hyperllama.modelstore.audited_store import AuditedStore
from hyperllama.modelstore.disk_store import DiskModelStore
from hyperllama.modelstore.upload_quota import UploadQuota


def digest(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


async def pieces(content: bytes) -> AsyncIterator[bytes]:
    for start in range(0, len(content), 10):
        yield content[start : start + 10]


async def test_what_a_key_uploads_is_bounded_for_as_long_as_it_is_there(database, tmp_path: Path) -> None:
    store = DiskModelStore(tmp_path / "models", names={})
    room = UploadQuota(database, store.blobs, 100)
    kept = AuditedStore(store, AuditLog(database, Admin()), room)

    async def upload(content: bytes, owner: str = "me") -> bool:
        caller = Caller(protocol="test", principal=Principal(id=owner), request_id="r")
        return await kept.put_blob(digest(content), pieces(content), caller)

    first, second = b"a" * 60, b"b" * 60
    assert await upload(first)
    assert not await upload(first)  # there already: costs nothing
    with pytest.raises(PayloadTooLarge, match="100 bytes"):
        await upload(second)
    assert await room.used("me") == 60
    assert not store.blobs.whole(digest(second))
    assert await upload(second, "you")
    store.blobs.remove(digest(first))
    assert await upload(b"c" * 90)
    assert (await room.used("me"), await room.used("you")) == (90, 60)
    assert [path.name for path in (tmp_path / "models" / "blobs").glob(".tmp*")] == []


async def test_uploads_side_by_side_cannot_pass_the_quota(database, tmp_path: Path) -> None:
    """Through one gateway, and through several that share the database and the disk."""
    store = DiskModelStore(tmp_path / "models", names={})
    gateways = [
        AuditedStore(store, AuditLog(database, Admin()), UploadQuota(database, store.blobs, 100)) for _ in range(2)
    ]
    caller = Caller(protocol="test", principal=Principal(id="me"), request_id="r")
    contents = [bytes([number]) * 90 for number in range(8)]
    work = [
        gateways[number % 2].put_blob(digest(content), pieces(content), caller)
        for number, content in enumerate(contents)
    ]
    done = await asyncio.gather(*work, return_exceptions=True)
    assert {type(result) for result in done} <= {bool, PayloadTooLarge}
    kept = [content for content in contents if store.blobs.whole(digest(content))]
    assert len(kept) <= 1 and done.count(True) == len(kept)
    assert await UploadQuota(database, store.blobs, 100).used("me") == 90 * len(kept)

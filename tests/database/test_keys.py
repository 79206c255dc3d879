from __future__ import annotations

import asyncio
import stat
import time

import pytest
from sqlalchemy import select

from hyperllama.database import tables
from hyperllama.database.key_store import Key, KeyStore
from hyperllama.database.pepper import pepper
from hyperllama.errors import ConfigError, InvalidRequest, NotFound

PEPPER = b"0123456789abcdef0123456789abcdef"


@pytest.fixture
def store(database) -> KeyStore:
    return KeyStore(database, PEPPER)


async def test_a_key_has_256_bits_and_the_database_has_none_of_them(store, database) -> None:
    issued = await store.create(Key(name="ci", owner="acme"), actor="test")
    assert issued.secret.startswith("hlg_")
    assert len(issued.secret) == 4 + 43
    async with database.begin() as connection:
        written = (tables.keys, tables.secrets, tables.audit, tables.usage)
        found = [str((await connection.execute(select(table))).all()) for table in written]
    assert issued.secret not in "".join(found)
    assert issued.secret[4:] not in "".join(found)
    assert store.digest(issued.secret).hex() in found[1]


async def test_a_key_is_found_by_its_secret_and_by_nothing_else(store) -> None:
    given = Key(
        name="ci",
        owner="acme",
        permissions=("infer", "admin"),
        models=("llama-*",),
        limits={"requests": ["5/minute"], "tier": "gold"},
        weight=2.5,
        priority=-3,
        expires=time.time() + 60,
    )
    issued = await store.create(given, actor="test")
    found = await store.find(store.digest(issued.secret))
    assert found is not None
    assert found.key == issued.key
    assert found.until == given.expires
    digest = store.digest(issued.secret)
    for wrong in (issued.secret[:-1], issued.secret + "x", digest.hex(), "hlg_" + digest.hex(), ""):
        assert await store.find(store.digest(wrong)) is None
    other = KeyStore(store._database, b"another pepper")
    assert await store.find(other.digest(issued.secret)) is None


async def test_one_name_is_one_key_until_it_is_revoked(store) -> None:
    first = await store.create(Key(name="ci"), actor="test")
    with pytest.raises(InvalidRequest, match="already"):
        await store.create(Key(name="ci"), actor="test")
    await store.revoke("ci", actor="test")
    second = await store.create(Key(name="ci"), actor="test")
    assert (await store.get("ci")).id == second.key.id
    assert (await store.get(first.key.id)).revoked is not None
    with pytest.raises(NotFound):
        await store.get("nobody")


async def test_rotating_gives_the_old_secret_its_grace_and_no_more(store) -> None:
    first = await store.create(Key(name="ci"), actor="test")
    before = time.time()
    second = await store.rotate("ci", grace=100, actor="test")
    third = await store.rotate("ci", grace=10, actor="test")
    assert len({first.secret, second.secret, third.secret}) == 3
    untils = [(await store.find(store.digest(issued.secret))).until for issued in (first, second, third)]
    assert untils[0] == pytest.approx(before + 10, abs=5)  # the second rotation shortens the first one's grace
    assert untils[1] == pytest.approx(before + 10, abs=5)
    assert untils[2] is None
    await store.revoke("ci", actor="test")
    with pytest.raises(NotFound):
        await store.rotate("ci", grace=10, actor="test")


async def test_every_change_raises_the_revision_and_is_in_the_audit_log(store, database) -> None:
    assert await store.revision() == (0, False)
    await store.create(Key(name="ci"), actor="cli:ann")
    await store.rotate("ci", grace=0, actor="cli:bob")
    await store.revoke("ci", actor="cli:eve")
    await store.revoke((await store.all())[0].id, actor="cli:eve")  # nothing changes
    assert await store.revision() == (3, True)
    async with database.begin() as connection:
        found = await connection.exec_driver_sql("SELECT actor, act FROM audit ORDER BY id")
        assert [tuple(row) for row in found] == [
            ("cli:ann", "keys.create"),
            ("cli:bob", "keys.rotate"),
            ("cli:eve", "keys.revoke"),
        ]


async def test_keys_made_at_the_same_time_do_not_disturb_each_other(store) -> None:
    await asyncio.gather(*(store.create(Key(name=f"k{number}"), actor="test") for number in range(20)))
    assert len(await store.all()) == 20
    assert await store.revision() == (20, True)


def test_the_pepper_is_made_once_and_is_its_owners_alone(tmp_path) -> None:
    first = pepper(tmp_path / "store")
    assert len(first) == 32
    assert pepper(tmp_path / "store") == first
    file = tmp_path / "store" / "pepper"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert [entry.name for entry in file.parent.iterdir()] == ["pepper"]
    assert pepper(tmp_path, "a configured one of some length") == b"a configured one of some length"


def test_a_pepper_others_can_read_is_refused(tmp_path) -> None:
    pepper(tmp_path)
    (tmp_path / "pepper").chmod(0o644)
    with pytest.raises(ConfigError, match="others"):
        pepper(tmp_path)
    with pytest.raises(ConfigError, match="16 characters"):
        pepper(tmp_path, "short")


async def test_of_rotations_at_the_same_time_only_the_last_secret_has_no_end(store) -> None:
    await store.create(Key(name="ci"), actor="test")
    issued = await asyncio.gather(*(store.rotate("ci", grace=60, actor="test") for _ in range(8)))
    found = [await store.find(store.digest(each.secret)) for each in issued]
    assert [each.until for each in found].count(None) == 1

from __future__ import annotations

import asyncio
import hashlib
import subprocess
import sys
import time
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest

from hyperllama.auth.authenticator import Authenticator, any_keys
from hyperllama.config import Config, Grant, Keys, StaticKey, Store
from hyperllama.database.key_store import Key, KeyStore
from hyperllama.errors import ConfigError, Unauthenticated, Unavailable
from hyperllama.identity import LOCAL, PERMISSIONS, Principal


def static(secret: str, **more: Any) -> StaticKey:
    return StaticKey(hash="sha256:" + hashlib.sha256(secret.encode()).hexdigest(), **more)


@pytest.fixture
def door(database, tmp_path):
    def make(others: bool = False, **keys: Any) -> Authenticator:
        config = Config(store=Store(path=str(tmp_path)), keys=Keys(**keys))
        return Authenticator(config, database, others=others)

    return make


async def test_without_any_key_everyone_is_this_machines_own_user_whatever_they_send(door, sent, tmp_path) -> None:
    async with door() as open_door:
        assert not open_door.required
        for token in (None, "ollama", "sk-none", "hlg_" + "x" * 43, "a.b.c", "ké", "x" * 20_000):
            principal = await open_door.authenticate(sent(token))
            assert principal == msgspec.structs.replace(LOCAL, network="127.0.0.1")
    assert list(tmp_path.iterdir()) == []  # and nothing was made on disk


async def test_the_first_key_made_elsewhere_closes_the_door_within_a_second(door, sent, database, tmp_path) -> None:
    async with door() as open_door:
        assert await open_door.authenticate(sent()) is not None
        script = (
            "import sys; from pathlib import Path; from hyperllama.cli.keys import keys;"
            "keys(['create', 'ci', '--permission', 'infer'], obj=Path(sys.argv[1]))"
        )
        (tmp_path / "c.toml").write_text(f'[store]\npath = "{tmp_path}"\n')
        made = await asyncio.to_thread(
            subprocess.run,
            [sys.executable, "-c", script, str(tmp_path / "c.toml")],
            capture_output=True,
            text=True,
            check=True,
        )
        began = time.monotonic()
        while not open_door.required:
            await asyncio.sleep(0.02)
            assert time.monotonic() - began < 10
        assert await open_door.authenticate(sent()) is None
        principal = await open_door.authenticate(sent(made.stdout.strip()))
        assert principal.name == "ci"
        assert principal.permissions == frozenset({"infer"})
        assert principal.network == "127.0.0.1"


async def test_wrong_keys_of_every_kind_are_refused(door, sent) -> None:
    async with door() as open_door:
        store = await open_door.key_cache.store()
        issued = await store.create(Key(name="ci"), actor="test")
        assert (await open_door.authenticate(sent(issued.secret))).id == issued.key.id
        digest = store.digest(issued.secret)
        for wrong in (
            "hlg_" + "x" * 43,
            issued.secret[:-1],
            issued.secret + "x",
            "hlg_" + digest.hex(),
            "hlg_é" + "x" * 42,
            "hlg_" + "x" * 16_384,
            "hlg_",
        ):
            with pytest.raises(Unauthenticated):
                await open_door.authenticate(sent(wrong))
        for unknown in (None, "sk-other", issued.secret.upper(), digest.hex(), "a.b.c", "\udcff"):
            assert await open_door.authenticate(sent(unknown)) is None


async def test_a_revoked_key_is_refused_at_once_here_and_soon_elsewhere(door, sent, database) -> None:
    async with door() as open_door:
        store = await open_door.key_cache.store()
        issued = await store.create(Key(name="ci"), actor="test")
        for _ in range(3):
            assert await open_door.authenticate(sent(issued.secret)) is not None
        other = await store.create(Key(name="other"), actor="test")
        await open_door.authenticate(sent(other.secret))
        await store.revoke("ci", actor="test")
        with pytest.raises(Unauthenticated):
            await open_door.authenticate(sent(issued.secret))
        await KeyStore(database, store._pepper).revoke("other", actor="another process")
        began = time.monotonic()
        with pytest.raises(Unauthenticated):
            while True:
                await open_door.authenticate(sent(other.secret))
                await asyncio.sleep(0.02)
                assert time.monotonic() - began < 10
        assert open_door.required  # the last key's end opens no door


async def test_rotation_expiry_and_grace(door, sent) -> None:
    wall = [time.time()]
    async with door(cache="0s") as open_door:
        open_door.key_cache._wall = lambda: wall[0]
        store = await open_door.key_cache.store()
        old = await store.create(Key(name="ci", expires=wall[0] + 1000), actor="test")
        new = await store.rotate("ci", grace=100, actor="test")
        for secret in (old.secret, new.secret):
            assert (await open_door.authenticate(sent(secret))).id == old.key.id
        wall[0] += 200
        with pytest.raises(Unauthenticated, match="expired"):
            await open_door.authenticate(sent(old.secret))
        assert await open_door.authenticate(sent(new.secret)) is not None
        wall[0] += 1000
        with pytest.raises(Unauthenticated, match="expired"):
            await open_door.authenticate(sent(new.secret))


async def test_a_believed_key_asks_the_database_once_and_a_herd_asks_it_once_too(door, sent, monkeypatch) -> None:
    async with door() as open_door:
        store = await open_door.key_cache.store()
        issued = await store.create(Key(name="ci"), actor="test")
        asked = []
        real = store.find

        async def find(wanted: bytes):
            asked.append(wanted)
            return await real(wanted)

        monkeypatch.setattr(store, "find", find)
        await open_door.key_cache._look()  # this change has been seen: no look meanwhile empties the cache
        await asyncio.gather(*(open_door.authenticate(sent(issued.secret)) for _ in range(50)))
        await open_door.authenticate(sent(issued.secret))
        assert len(asked) == 1


async def test_while_the_database_is_away_a_known_key_goes_on_for_its_time_after_the_last_look(
    door, sent, monkeypatch
) -> None:
    clock = [1000.0]
    async with door(cache="60s") as open_door:
        cache = open_door.key_cache
        cache._watcher.cancel()
        cache._clock = lambda: clock[0]
        store = await cache.store()
        first, second = [await store.create(Key(name=name), actor="test") for name in ("first", "second")]
        await cache._look()
        assert await open_door.authenticate(sent(first.secret)) is not None
        clock[0] += 50
        await cache._look()
        asked = []

        async def away(*_: object):
            asked.append(clock[0])
            raise Unavailable("gone", retry_after=1)

        real = store.find
        monkeypatch.setattr(store, "find", away)
        monkeypatch.setattr(store, "revision", away)
        clock[0] += 10.5  # its own minute is over, the last look's is not
        await cache._look()
        for _ in range(3):
            assert await open_door.authenticate(sent(first.secret)) is not None
        assert len(asked) == 1, "what cannot be answered is not asked for each request"
        with pytest.raises(Unavailable):
            await open_door.authenticate(sent(second.secret))  # never seen before
        clock[0] += 49.6
        with pytest.raises(Unavailable):
            await open_door.authenticate(sent(first.secret))
        monkeypatch.setattr(store, "find", real)
        assert await open_door.authenticate(sent(first.secret)) is not None


async def test_static_keys_are_known_by_their_hash(door, sent) -> None:
    keys = {
        "me": static("my secret that is long enough", permissions=("infer", "admin"), models=("a*",), priority=2),
        "old": static("an old secret", expires=datetime(2020, 1, 1, tzinfo=UTC)),
    }
    async with door(static=keys) as open_door:
        assert open_door.required
        principal = await open_door.authenticate(sent("my secret that is long enough"))
        assert (principal.id, principal.models, principal.priority) == ("static:me", ("a*",), 2)
        with pytest.raises(Unauthenticated, match="expired"):
            await open_door.authenticate(sent("an old secret"))
        for wrong in (None, keys["me"].hash, keys["me"].hash.partition(":")[2], "My secret that is long enough"):
            assert await open_door.authenticate(sent(wrong)) is None


async def test_networks_know_those_who_cannot_send_a_key_the_narrowest_first(door, sent) -> None:
    networks = {
        "10.0.0.0/8": Grant(permissions=("infer",)),
        "10.1.0.0/16": Grant(permissions=("infer", "models:write"), owner="lab"),
        "fd00::/8": Grant(permissions=("models:read",)),
    }
    async with door(networks=networks) as open_door:
        assert (await open_door.authenticate(sent(client="10.1.2.3"))).owner == "lab"
        assert (await open_door.authenticate(sent(client="::ffff:10.2.2.3"))).permissions == frozenset({"infer"})
        assert (await open_door.authenticate(sent("ollama", client="10.9.9.9"))).id == "network:10.0.0.0/8"
        assert (await open_door.authenticate(sent(client="fd12::1"))).permissions == frozenset({"models:read"})
        for client in ("192.0.2.1", "127.0.0.1", None, "junk"):
            assert await open_door.authenticate(sent(client=client)) is None


async def test_keys_can_be_demanded_before_there_are_any_and_not_demanded_though_there_are(door, sent) -> None:
    async with door(required=True) as shut:
        assert await shut.authenticate(sent()) is None
    async with door(required=False, static={"me": static("a secret of mine")}) as ajar:
        assert (await ajar.authenticate(sent())).permissions == frozenset(PERMISSIONS)
        assert (await ajar.authenticate(sent("a secret of mine"))).id == "static:me"
    async with door(others=True) as other:
        assert await other.authenticate(sent("their token")) is None


async def test_whether_there_are_keys_is_known_before_anything_is_opened(door, database, tmp_path) -> None:
    assert not any_keys(database)
    assert not door().required
    async with door() as open_door:
        store = await open_door.key_cache.store()
        await store.create(Key(name="ci"), actor="test")
    await database.close()
    assert any_keys(database)
    assert door().required
    (tmp_path / "gateway.db").write_bytes(b"SQLite format 3\0" + b"garbage" * 1000)
    for suffix in ("-wal", "-shm"):
        (tmp_path / f"gateway.db{suffix}").unlink(missing_ok=True)
    with pytest.raises(ConfigError, match="cannot be read"):
        any_keys(database)


async def test_a_database_that_is_taken_away_opens_no_door(door, sent, tmp_path, database) -> None:
    async with door() as open_door:
        store = await open_door.key_cache.store()
        await store.create(Key(name="ci"), actor="test")
        await database.close()
        for file in tmp_path.glob("gateway.db*"):
            file.unlink()
        await open_door.key_cache._look()
        assert open_door.required
        assert await open_door.authenticate(sent()) is None


async def test_who_was_let_in_before_is_asked_about_again(door, database) -> None:
    static_key = static("secret", permissions=("infer",))
    expired = static("old", expires=datetime(2020, 1, 1, tzinfo=UTC))
    async with door(static={"ci": static_key, "old": expired}, networks={"10.0.0.0/8": Grant()}) as one:

        async def renewed(id: str) -> Principal | None:
            return await one.renew(Principal(id=id, network="10.1.1.1"))

        known = await renewed("static:ci")
        assert (known.permissions, known.network) == (frozenset({"infer"}), "10.1.1.1")
        assert (await renewed("network:10.0.0.0/8")).network == "10.1.1.1"
        for gone in ("static:old", "static:removed", "network:10.9.0.0/16", "key_none", LOCAL.id):
            assert await renewed(gone) is None, gone
        token = Principal(id="https://login.example|ann")
        assert await one.renew(token) is token  # cannot be asked without its token
        store = await one.key_cache.store()
        issued = await store.create(Key(name="ci"), actor="test")
        assert (await renewed(issued.key.id)).name == "ci"
        await store.update("ci", {"weight": 5.0}, actor="test")
        assert (await renewed(issued.key.id)).weight == 5.0
        await store.revoke("ci", actor="test")
        assert await renewed(issued.key.id) is None
    async with door(required=False) as open_door:
        assert (await open_door.renew(LOCAL)) is LOCAL


async def test_an_answer_that_was_on_its_way_when_a_key_was_revoked_lets_nobody_in_later(
    door, sent, monkeypatch
) -> None:
    async with door() as open_door:
        store = await open_door.key_cache.store()
        issued = await store.create(Key(name="ci"), actor="test")
        asked, answered, real = asyncio.Event(), asyncio.Event(), store.find

        async def slow(wanted: bytes):
            found = await real(wanted)
            asked.set()
            await answered.wait()
            return found

        monkeypatch.setattr(store, "find", slow)
        early = asyncio.create_task(open_door.authenticate(sent(issued.secret)))
        await asked.wait()
        monkeypatch.setattr(store, "find", real)
        await store.revoke("ci", actor="test")
        late = asyncio.create_task(open_door.authenticate(sent(issued.secret)))
        await asyncio.sleep(0)
        answered.set()
        assert (await early).id == issued.key.id  # it came before
        with pytest.raises(Unauthenticated):
            await late

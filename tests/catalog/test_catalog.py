"""How models come and go."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable

import pytest

from hyperllama.catalog.catalog import Catalog
from hyperllama.errors import ConfigError, LoadFailed, ModelLoading, ModelNotFound, ModelUnavailable
from hyperllama.models import ModelSpec
from tests.support.fake_engine import FakeEngine

MakeCatalog = Callable[..., Catalog]


@pytest.mark.parametrize("name", ["a", "A", "a:latest", "alias", "ALIAS:latest"])
async def test_names_are_found_in_any_case_with_latest_implied(make_catalog: MakeCatalog, name: str) -> None:
    assert make_catalog().find(name).spec.name == "a"


@pytest.mark.parametrize("name", ["", "b", "a:8b", "aa"])
async def test_an_unknown_name_is_not_found(make_catalog: MakeCatalog, name: str) -> None:
    with pytest.raises(ModelNotFound, match=f"model '{name}' not found"):
        make_catalog().find(name)


async def test_two_hundred_first_requests_make_one_load(make_catalog: MakeCatalog, engine: FakeEngine) -> None:
    catalog = make_catalog()
    leases = await asyncio.gather(*(catalog.acquire(catalog.find("a")) for _ in range(200)))
    assert engine.loads == 1
    assert len({id(lease.model) for lease in leases}) == 1


async def test_a_failed_load_fails_all_who_wait_and_the_next_one_tries_again(
    make_catalog: MakeCatalog, engine: FakeEngine
) -> None:
    catalog = make_catalog()
    engine.broken = True
    entry = catalog.find("a")
    results = await asyncio.gather(*(catalog.acquire(entry) for _ in range(20)), return_exceptions=True)
    assert [str(result) for result in results] == ["the file is broken"] * 20
    assert all(isinstance(result, LoadFailed) for result in results)
    engine.broken = False
    lease = await catalog.acquire(entry)
    assert engine.loads == 2
    assert lease.load_ns > 0


async def test_a_caller_that_leaves_does_not_stop_the_load_of_the_others(
    make_catalog: MakeCatalog, engine: FakeEngine
) -> None:
    catalog = make_catalog()
    engine.gate.clear()
    first = asyncio.create_task(catalog.acquire(catalog.find("a")))
    second = asyncio.create_task(catalog.acquire(catalog.find("a")))
    await asyncio.sleep(0)
    first.cancel()
    engine.gate.set()
    assert (await second).model.info.name == "a"
    assert engine.loads == 1


async def test_who_does_not_want_to_wait_is_told_how_long(make_catalog: MakeCatalog, engine: FakeEngine) -> None:
    catalog = make_catalog()
    engine.gate.clear()
    with pytest.raises(ModelLoading) as caught:
        await catalog.acquire(catalog.find("a"), wait_timeout=0)
    assert caught.value.retry_after is not None
    assert caught.value.retry_after >= 1
    engine.gate.set()
    lease = await catalog.acquire(catalog.find("a"))
    assert engine.loads == 1
    lease.release()


async def test_keep_alive_zero_unloads_when_the_request_ends(make_catalog: MakeCatalog, engine: FakeEngine) -> None:
    catalog = make_catalog()
    lease = await catalog.acquire(catalog.find("a"), keep_alive=0)
    assert not engine.models[0].closed.is_set()
    lease.release()
    await asyncio.wait_for(engine.models[0].closed.wait(), 5)
    await asyncio.sleep(0)
    assert catalog.running() == []


async def test_keep_alive_sticks_for_requests_that_do_not_say(make_catalog: MakeCatalog) -> None:
    catalog = make_catalog()
    (await catalog.acquire(catalog.find("a"), keep_alive=math.inf)).release()
    (await catalog.acquire(catalog.find("a"))).release()
    assert catalog.running()[0][1].expires_at is None


async def test_unloading_waits_for_running_requests(make_catalog: MakeCatalog, engine: FakeEngine) -> None:
    catalog = make_catalog()
    entry = catalog.find("a")
    lease = await catalog.acquire(entry)
    unloading = asyncio.create_task(catalog.unload(entry))
    await asyncio.sleep(0.01)
    assert not engine.models[0].closed.is_set()
    lease.release()
    await asyncio.wait_for(unloading, 5)
    assert engine.models[0].closed.is_set()


async def test_unloading_what_is_not_loaded_loads_nothing(make_catalog: MakeCatalog, engine: FakeEngine) -> None:
    catalog = make_catalog()
    await catalog.unload(catalog.find("a"))
    assert engine.loads == 0


async def test_the_least_recently_used_idle_model_makes_room(make_catalog: MakeCatalog, engine: FakeEngine) -> None:
    specs = [ModelSpec(name=name, engine="fake", options={"bytes": 40}) for name in ("a", "b", "c")]
    catalog = make_catalog(*specs, memory=100)
    for name in ("a", "b"):
        (await catalog.acquire(catalog.find(name))).release()
    (await catalog.acquire(catalog.find("a"))).release()
    (await catalog.acquire(catalog.find("c"))).release()
    assert {running.info.name for _, running in catalog.running()} == {"a", "c"}


async def test_a_busy_model_is_waited_for_when_only_it_could_make_room(
    make_catalog: MakeCatalog, engine: FakeEngine
) -> None:
    specs = [ModelSpec(name=name, engine="fake", options={"bytes": 60}) for name in ("a", "b")]
    catalog = make_catalog(*specs, memory=100)
    lease = await catalog.acquire(catalog.find("a"))
    waiting = asyncio.create_task(catalog.acquire(catalog.find("b")))
    await asyncio.sleep(0.01)
    assert not waiting.done()
    lease.release()
    assert (await asyncio.wait_for(waiting, 5)).model.info.name == "b"
    assert engine.models[0].closed.is_set()


async def test_a_model_over_the_budget_is_refused_before_anything_starts(
    make_catalog: MakeCatalog, engine: FakeEngine
) -> None:
    catalog = make_catalog(ModelSpec(name="a", engine="fake", options={"bytes": 200}), memory=100)
    with pytest.raises(LoadFailed, match="memory budget"):
        await catalog.acquire(catalog.find("a"))
    assert engine.loads == 0


async def test_a_model_that_died_is_loaded_again_by_itself(
    make_catalog: MakeCatalog, engine: FakeEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hyperllama.catalog.instance.BACKOFF", (0.01, 0.01))
    catalog = make_catalog()
    (await catalog.acquire(catalog.find("a"))).release()
    engine.models[0].die()
    lease = await asyncio.wait_for(catalog.acquire(catalog.find("a")), 5)
    assert engine.models[0].closed.is_set()
    assert lease.model is engine.models[1]


async def test_five_deaths_in_a_minute_and_it_rests_until_asked_again(
    make_catalog: MakeCatalog, engine: FakeEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hyperllama.catalog.instance.BACKOFF", (0.0, 0.0))
    monkeypatch.setattr("hyperllama.catalog.instance.REST", 0.05)
    catalog = make_catalog()
    entry = catalog.find("a")
    for _ in range(5):
        lease = await catalog.acquire(entry)
        lease.release()
        engine.models[-1].die()
    with pytest.raises(ModelUnavailable) as caught:
        await catalog.acquire(entry)
    assert caught.value.retry_after
    assert engine.loads == 5
    await asyncio.sleep(0.06)
    assert (await catalog.acquire(entry)).model is engine.models[5]


async def test_a_model_nobody_can_load_says_which_engines_there_are(make_catalog: MakeCatalog) -> None:
    with pytest.raises(ConfigError, match=r"models\.x\.engine: no engine 'gone'; installed are: fake"):
        make_catalog(ModelSpec(name="x", engine="gone"))


async def test_a_missing_directory_is_named_with_the_key_at_fault(make_catalog: MakeCatalog) -> None:
    with pytest.raises(ConfigError, match=r"models\.x\.source: 'no/such/place' does not exist"):
        make_catalog(ModelSpec(name="x", engine="fake", source="no/such/place"))

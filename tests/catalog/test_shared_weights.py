"""Names that share weights: one process, one load, and for each name its own rendering, users and timer."""

from __future__ import annotations

import asyncio
import math
from pathlib import Path

import msgspec
import pytest

from hyperllama.catalog.catalog import Catalog
from hyperllama.config import Server
from hyperllama.errors import LoadFailed
from hyperllama.generation import Rendering
from hyperllama.models import ModelSpec
from hyperllama.modelstore.loadtimes import LoadTimes
from tests.support.fake_engine import FakeEngine


class SharingEngine(FakeEngine):
    """Everything but the rendering counts."""

    def describe(self, spec, path):
        return msgspec.structs.replace(super().describe(spec, path), system=spec.system, parameters=spec.parameters)

    def sharing(self, spec: ModelSpec, path: Path | None) -> str | None:
        return (
            f"{spec.device} {spec.max_length} {spec.quantization} {spec.max_batch_size} {sorted(spec.options.items())}"
        )


def spec(name: str, **changes) -> ModelSpec:
    return ModelSpec(name=name, engine="fake", **changes)


@pytest.fixture
async def shared():
    """A catalog of ``a`` and ``b``, which share, its engine, and a function that offers another copy of ``a``."""
    engine = SharingEngine()
    catalog = Catalog(Server(), engines={"fake": engine}, sources={}, load_times=LoadTimes(None), memory=25)

    def put(name: str, **changes):
        catalog.put(catalog.describe(spec(name, **changes), origin="a"))
        return catalog.find(name)

    put("a")
    put("b", system="You are Bob.", parameters={"temperature": 0})
    yield catalog, engine, put
    await catalog.close()


async def use(catalog, name, **changes):
    (await catalog.acquire(catalog.find(name), **changes)).release()


def shown(catalog):
    return [entry.spec.name for entry, _ in catalog.running()]


async def test_b13_two_names_are_one_load(shared):
    catalog, engine, _ = shared
    first = await catalog.acquire(catalog.find("a"))
    second = await catalog.acquire(catalog.find("b"))
    assert first.model is second.model
    assert second.load_ns == 0
    assert engine.loads == 1
    assert first.rendering is None
    assert second.rendering == Rendering(system="You are Bob.", parameters={"temperature": 0})
    assert (first.info.name, second.info.name) == ("a", "b")
    first.release()
    second.release()
    assert shown(catalog) == ["a"]


async def test_b13_names_that_ask_at_once_wait_for_one_load(shared):
    catalog, engine, _ = shared
    leases = await asyncio.gather(*(catalog.acquire(catalog.find(name)) for name in ("b", "a", "b")))
    assert engine.loads == 1
    assert [lease.rendering is None for lease in leases] == [True, False, True]
    assert shown(catalog) == ["b"]
    for lease in leases:
        lease.release()


@pytest.mark.parametrize(
    "changes",
    [
        {"device": "gpu"},
        {"max_length": 64},
        {"quantization": "q4_0"},
        {"max_batch_size": 2},
        {"options": {"adapter": "x"}},
    ],
)
async def test_b13_another_setting_of_the_engine_is_another_process(shared, changes):
    catalog, engine, put = shared
    put("other", **changes)
    await use(catalog, "a")
    await use(catalog, "other")
    assert engine.loads == 2
    assert sorted(shown(catalog)) == ["a", "other"]


@pytest.mark.parametrize("changes", [{"system": "x"}, {"parameters": {"seed": 1}}, {"keep_alive": 1.0}, {}])
async def test_b13_what_is_of_the_name_alone_is_not(shared, changes):
    catalog, engine, put = shared
    put("other", **changes)
    await use(catalog, "a")
    await use(catalog, "other")
    assert engine.loads == 1


async def test_b13_a_model_of_another_origin_shares_nothing(shared):
    catalog, engine, _ = shared
    catalog.put(catalog.describe(spec("stranger")))
    await use(catalog, "a")
    await use(catalog, "stranger")
    assert engine.loads == 2


async def test_b13_unloading_one_name_leaves_the_others_use_alone(shared):
    catalog, engine, _ = shared
    await use(catalog, "a")
    lease = await catalog.acquire(catalog.find("b"))
    await catalog.unload(catalog.find("a"))
    assert not engine.models[0].closed.is_set()
    assert shown(catalog) == ["b"]
    lease.release()
    await use(catalog, "b")
    assert engine.loads == 1
    await catalog.unload(catalog.find("b"))
    assert engine.models[0].closed.is_set()
    assert shown(catalog) == []


async def test_b13_unloading_a_name_that_has_not_used_it_changes_nothing(shared):
    catalog, engine, _ = shared
    await use(catalog, "a")
    await catalog.unload(catalog.find("b"))
    assert shown(catalog) == ["a"]
    assert not engine.models[0].closed.is_set()


async def test_b13_each_name_has_its_own_timer_and_the_last_one_ends_it(shared):
    catalog, engine, _ = shared
    await use(catalog, "a", keep_alive=math.inf)
    await use(catalog, "b", keep_alive=0.0)
    await asyncio.sleep(0.01)
    assert not engine.models[0].closed.is_set()
    assert catalog.running()[0][1].expires_at is None
    await use(catalog, "a", keep_alive=0.0)
    await asyncio.wait_for(engine.models[0].closed.wait(), 5)


async def test_b13_a_deleted_name_takes_only_its_own_use_along(shared):
    catalog, engine, put = shared
    await use(catalog, "a")
    lease = await catalog.acquire(catalog.find("b"))
    catalog.remove("a")
    await asyncio.sleep(0)
    assert shown(catalog) == ["b"]
    put("a")  # renamed back, or made again
    await use(catalog, "a")
    assert engine.loads == 1
    catalog.remove("b")
    lease.release()
    await asyncio.sleep(0.01)
    assert not engine.models[0].closed.is_set()
    catalog.remove("a")
    await asyncio.wait_for(engine.models[0].closed.wait(), 5)


async def test_b13_a_changed_rendering_takes_effect_without_a_load(shared):
    catalog, engine, put = shared
    await use(catalog, "a")
    entry = put("a", system="New.")
    lease = await catalog.acquire(entry)
    assert lease.rendering is not None
    assert lease.rendering.system == "New."
    lease.release()
    assert engine.loads == 1
    assert shown(catalog) == ["a"]


async def test_b13_a_death_is_one_death_and_the_deleted_loader_is_replaced(shared, monkeypatch):
    monkeypatch.setattr("hyperllama.catalog.instance.BACKOFF", (0.0, 0.0))
    catalog, engine, _ = shared
    await use(catalog, "a")
    await use(catalog, "b")
    catalog.remove("a")
    await asyncio.sleep(0)
    engine.models[0].die()
    lease = await catalog.acquire(catalog.find("b"))
    assert engine.loads == 2
    assert lease.rendering is None
    assert lease.model.info.name == "b"
    lease.release()


async def test_b13_memory_counts_once_and_eviction_takes_all_names(shared):
    catalog, engine, put = shared
    put("large", options={"bytes": 20})
    await use(catalog, "a")
    await use(catalog, "b")
    await use(catalog, "large")
    assert engine.models[0].closed.is_set()
    assert shown(catalog) == ["large"]


async def test_b13_a_load_that_fails_fails_for_all_and_the_next_tries_again(shared):
    catalog, engine, _ = shared
    engine.broken = True
    for name in ("a", "b"):
        with pytest.raises(LoadFailed):
            await use(catalog, name)
    engine.broken = False
    await use(catalog, "b")
    assert shown(catalog) == ["b"]


async def test_b13_a_caller_sees_the_process_under_a_name_that_it_may_use(shared):
    catalog, _, _ = shared
    await use(catalog, "a")
    await use(catalog, "b")

    def may(name):
        return [entry.spec.name for entry, _ in catalog.running(lambda entry: entry.spec.name == name)]

    assert may("b") == ["b"]
    assert may("a") == ["a"]
    assert may("c") == []


async def test_b13_all_names_share_one_queue(shared):
    catalog, _, put = shared
    put("c", max_length=64)
    assert catalog.find("a").lane == catalog.find("b").lane == "a"
    assert catalog.find("c").lane == "c"

"""Who makes room for whom."""

from __future__ import annotations

import pytest

from hyperllama.catalog.eviction import EvictionPlan, Resident, plan_eviction
from hyperllama.errors import LoadFailed

IDLE_OLD = Resident("old", 40, idle_since=1.0, keep_alive=300)
IDLE_NEW = Resident("new", 40, idle_since=2.0, keep_alive=300)
SHORT = Resident("short", 40, idle_since=3.0, keep_alive=10)
BUSY = Resident("busy", 40, idle_since=None, keep_alive=10)


@pytest.mark.parametrize(
    ("residents", "need", "max_models", "plan"),
    [
        ((), 50, 0, EvictionPlan(())),
        ((IDLE_OLD, IDLE_NEW), 20, 0, EvictionPlan(())),
        ((IDLE_OLD, IDLE_NEW), 30, 0, EvictionPlan(("old",))),
        ((IDLE_NEW, IDLE_OLD), 30, 0, EvictionPlan(("old",))),
        ((IDLE_OLD, SHORT), 30, 0, EvictionPlan(("short",))),
        ((IDLE_OLD, IDLE_NEW), 90, 0, EvictionPlan(("old", "new"))),
        ((BUSY, IDLE_NEW), 50, 0, EvictionPlan(("new",))),
        ((BUSY, IDLE_NEW), 70, 0, EvictionPlan(("new",), wait=True)),
        ((IDLE_OLD,), 1, 1, EvictionPlan(("old",))),
        ((BUSY,), 1, 1, EvictionPlan((), wait=True)),
    ],
)
def test_idle_models_go(residents: tuple[Resident, ...], need: int, max_models: int, plan: EvictionPlan) -> None:
    assert plan_eviction(residents, need, budget=100, max_models=max_models) == plan


def test_a_model_over_the_whole_budget_is_refused_with_the_sum() -> None:
    with pytest.raises(LoadFailed, match=r"needs about 200 MiB and the memory budget is 100 MiB"):
        plan_eviction((), 200 * 2**20, budget=100 * 2**20, max_models=0)

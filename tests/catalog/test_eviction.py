"""Who makes room for whom."""

from __future__ import annotations

import pytest

from hyperllama.catalog.eviction import Resident, Room, make_room
from hyperllama.errors import LoadFailed

IDLE_OLD = Resident("old", 40, idle_since=1.0, keep_alive=300)
IDLE_NEW = Resident("new", 40, idle_since=2.0, keep_alive=300)
SHORT = Resident("short", 40, idle_since=3.0, keep_alive=10)
BUSY = Resident("busy", 40, idle_since=None, keep_alive=10)


@pytest.mark.parametrize(
    ("residents", "need", "max_models", "room"),
    [
        ((), 50, 0, Room(())),
        ((IDLE_OLD, IDLE_NEW), 20, 0, Room(())),
        ((IDLE_OLD, IDLE_NEW), 30, 0, Room(("old",))),
        ((IDLE_NEW, IDLE_OLD), 30, 0, Room(("old",))),
        ((IDLE_OLD, SHORT), 30, 0, Room(("short",))),
        ((IDLE_OLD, IDLE_NEW), 90, 0, Room(("old", "new"))),
        ((BUSY, IDLE_NEW), 50, 0, Room(("new",))),
        ((BUSY, IDLE_NEW), 70, 0, Room(("new",), wait=True)),
        ((IDLE_OLD,), 1, 1, Room(("old",))),
        ((BUSY,), 1, 1, Room((), wait=True)),
    ],
)
def test_room_is_made(residents: tuple[Resident, ...], need: int, max_models: int, room: Room) -> None:
    assert make_room(residents, need, budget=100, max_models=max_models) == room


def test_a_model_over_the_whole_budget_is_refused_with_the_sum() -> None:
    with pytest.raises(LoadFailed, match=r"needs about 200 MiB and the memory budget is 100 MiB"):
        make_room((), 200 * 2**20, budget=100 * 2**20, max_models=0)

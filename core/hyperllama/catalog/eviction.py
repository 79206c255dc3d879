"""The choice of models to unload for another one: a pure function of what is in memory."""

from __future__ import annotations

from collections.abc import Hashable, Sequence

import msgspec

from hyperllama.errors import LoadFailed


class Resident(msgspec.Struct, frozen=True):
    """A model in memory. ``idle_since`` is monotonic seconds; None: it is busy. ``keep_alive`` in seconds."""

    name: Hashable
    bytes: int
    idle_since: float | None
    keep_alive: float


class EvictionPlan(msgspec.Struct, frozen=True):
    """The models to unload. ``wait``: even then there is no room until a busy model has finished."""

    evict: tuple[Hashable, ...]
    wait: bool = False


def plan_eviction(residents: Sequence[Resident], need: int, *, budget: int, max_models: int) -> EvictionPlan:
    """Choose idle models to evict so that ``need`` bytes fit ``budget``: shortest keep-alive, then least recently used.

    ``max_models`` 0 means no limit of number. Raises LoadFailed, showing the sum, when the need alone is too much.
    """
    if need > budget:
        raise LoadFailed(
            f"the model needs about {_mib(need)} and the memory budget is {_mib(budget)} "
            "([server] memory_budget, or free memory at start); take a smaller max_length, max_batch_size or model"
        )
    used = sum(resident.bytes for resident in residents)
    count = len(residents)
    evict: list[Hashable] = []

    def fits() -> bool:
        return used + need <= budget and (max_models == 0 or count < max_models)

    idle = [resident for resident in residents if resident.idle_since is not None]
    for resident in sorted(idle, key=lambda resident: (resident.keep_alive, resident.idle_since)):
        if fits():
            break
        evict.append(resident.name)
        used -= resident.bytes
        count -= 1
    return EvictionPlan(tuple(evict), wait=not fits())


def _mib(size: int) -> str:
    return f"{size / 2**20:,.0f} MiB"


__all__ = ("EvictionPlan", "Resident", "plan_eviction")

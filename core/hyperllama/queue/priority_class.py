"""The calls of one priority that wait for a model."""

from __future__ import annotations

from hyperllama.identity import Principal
from hyperllama.queue.fairness import FairSchedule, KeyFlow, OwnerFlow, Waiter, owner_of, weight_of

CROWD = 64  # flows, beyond which positions are estimated without exact sums


class PriorityClass:
    """Owners that share a model, each with its keys. ``credit`` is what higher classes owe this one."""

    __slots__ = ("_owners", "credit", "priority", "waiting", "weights")

    def __init__(self, priority: int) -> None:
        self.priority = priority
        self.waiting = 0
        self.weights = 0.0  # of the owners that wait
        self.credit = 0.0
        self._owners: FairSchedule[OwnerFlow] = FairSchedule()

    def owner(self, principal: Principal) -> OwnerFlow | None:
        """Return the flow of the principal's owner, if it has one."""
        return self._owners.flows.get(owner_of(principal))

    def flow(self, principal: Principal) -> KeyFlow:
        """Return the principal's flow, a new one if need be."""
        name = owner_of(principal)
        owner = self._owners.flows.get(name) or self._owners.add(OwnerFlow(name, self.priority))
        flow = owner.keys.flows.get(principal.id)
        if flow is None:
            flow = owner.keys.add(KeyFlow(principal.id, weight_of(principal), owner))
        flow.weight = weight_of(principal)
        return flow

    def push(self, waiter: Waiter) -> None:
        """Let ``waiter`` wait behind the others of its flow."""
        flow, owner = waiter.flow, waiter.flow.owner
        flow.waiters[waiter.number] = waiter
        flow.waiting += 1
        owner.waiting += 1
        self.waiting += 1
        if flow.waiting == 1:
            owner.active[flow.name] = flow
            owner.keys.enlist(flow)
        self._weigh(owner)
        if owner.waiting == 1:
            self._owners.enlist(owner)

    def pop(self) -> Waiter:
        """Take out the waiter to admit next. There must be one."""
        owner = self._owners.pop()
        flow = owner.keys.pop()
        _, waiter = flow.waiters.popitem(last=False)
        self._count_out(flow)
        owner.keys.serve(flow, waiter.cost)
        self._owners.serve(owner, waiter.cost)
        self._settle(flow)
        return waiter

    def remove(self, waiter: Waiter) -> bool:
        """Take ``waiter`` out as if it had never come. Returns False when it was not waiting."""
        flow = waiter.flow
        if flow.waiters.pop(waiter.number, None) is None:
            return False
        self._count_out(flow)
        self._settle(flow)
        return True

    def correct(self, waiter: Waiter, cost: int) -> None:
        """Replace the estimated cost of an admitted waiter by its real one."""
        flow, change = waiter.flow, cost - waiter.cost
        if change:
            owner = self._owners.flows.get(flow.owner.name)
            if owner is not None:
                owner.keys.correct(flow.name, change)
                self._owners.correct(owner.name, change)

    def over_share(self, principal: Principal, places: int) -> bool:
        """Return whether one more call exceeds its owner's share of ``places`` that other owners want, too."""
        owner = self.owner(principal)
        mine = owner.waiting if owner is not None else 0
        weight = self.weight_with(principal)
        weights = self.weights - (owner.counted if owner is not None and mine else 0.0) + weight
        return mine < self.waiting and mine + 1 > max(1.0, places * weight / weights)

    def weight_with(self, principal: Principal) -> float:
        """Return the weight that the principal's owner has when the principal waits, too."""
        owner = self.owner(principal)
        waiting = owner.weight if owner is not None and owner.waiting else 0.0
        return max(waiting, weight_of(principal))

    def ahead_of(self, principal: Principal) -> int:
        """Return about how many calls of this class are admitted before a new one of ``principal``."""
        owner = self.owner(principal)
        mine = 1 if owner is None else _ahead_within(owner, principal) + 1
        if len(self._owners.flows) > CROWD:
            return self.waiting
        turns = mine / self.weight_with(principal)
        others = sum(min(o.waiting, turns * o.weight) for o in self._owners.flows.values() if o is not owner)
        return min(int(others) + mine - 1, self.waiting)

    def _count_out(self, flow: KeyFlow) -> None:
        flow.waiting -= 1
        if not flow.waiting:
            del flow.owner.active[flow.name]
        flow.owner.waiting -= 1
        self.waiting -= 1

    def _settle(self, flow: KeyFlow) -> None:
        """Weigh the owner again, and forget what owes nothing."""
        owner = flow.owner
        self._weigh(owner)
        owner.keys.forget(flow)
        self._owners.forget(owner)
        self._clear_if_empty()

    def _weigh(self, owner: OwnerFlow) -> None:
        self.weights -= owner.counted
        owner.counted = max((key.weight for key in owner.active.values()), default=0.0)
        owner.weight = owner.counted or owner.weight
        self.weights += owner.counted

    def _clear_if_empty(self) -> None:
        if not self.waiting:  # without competition the past is even
            self._owners.clear()
            self.credit = self.weights = 0.0


def _ahead_within(owner: OwnerFlow, principal: Principal) -> int:
    """Return about how many calls of the owner's keys are admitted before a new one of ``principal``."""
    own = owner.active.get(principal.id)
    mine = (own.waiting if own is not None else 0) + 1
    turns = mine / weight_of(principal)
    others = sum(min(key.waiting, turns * key.weight) for key in owner.active.values() if key is not own)
    return min(int(others) + mine - 1, owner.waiting)


__all__ = ("PriorityClass",)

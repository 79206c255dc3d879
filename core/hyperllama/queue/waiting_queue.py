"""The calls that wait for one model.

Classes by priority: the highest goes first, and a lower one that waits gets ``floor`` of all admissions before anyone.
Within a class owners and their keys share by :mod:`hyperllama.queue.fairness`.
"""

from __future__ import annotations

import asyncio
import heapq

from hyperllama.identity import IDLE_PRIORITY, Principal
from hyperllama.queue.fairness import OwnerFlow, Waiter, weight_of
from hyperllama.queue.priority_class import PriorityClass

FIRST, LAST = IDLE_PRIORITY, 10


class WaitingQueue:
    """Every waiting call of one model. Nothing here waits; ``tokens`` counts the prompts of waiting calls."""

    __slots__ = ("_classes", "_loads", "_number", "floor", "tokens", "waiting")

    def __init__(self, floor: float) -> None:
        self.waiting = 0
        self.tokens = 0
        self.floor = floor
        self._classes: dict[int, PriorityClass] = {}
        self._loads: list[tuple[int, float, int, OwnerFlow]] = []  # lowest class, then greatest load for its weight
        self._number = 0

    def __bool__(self) -> bool:
        return self.waiting > 0

    def join(self, principal: Principal, *, tokens: int, cost: int, future: asyncio.Future[None]) -> Waiter:
        """Add a call of ``principal`` with the ``tokens`` of its prompt and its estimated ``cost``."""
        class_ = self._class(principal)
        self._number += 1
        waiter = Waiter(
            principal,
            class_.flow(principal),
            future=future,
            number=self._number,
            tokens=tokens,
            cost=max(cost, 1),
        )
        class_.push(waiter)
        self.waiting += 1
        self.tokens += tokens
        self._weigh(waiter.flow.owner)
        return waiter

    def next(self) -> Waiter:
        """Take out the call to admit now. There must be one."""
        waiter = self._choose().pop()
        self._count_out(waiter)
        return waiter

    def leave(self, waiter: Waiter) -> bool:
        """Take out a call whose caller gave up. Returns False when it was not waiting any more."""
        if not self._classes[waiter.flow.owner.priority].remove(waiter):
            return False
        self._count_out(waiter)
        return True

    def correct(self, waiter: Waiter, cost: int) -> None:
        """Charge an admitted call what it really cost."""
        self._classes[waiter.flow.owner.priority].correct(waiter, max(cost, 1))

    def over_share(self, principal: Principal, places: int) -> bool:
        """Return whether one more call exceeds its owner's share of a queue of ``places`` that others want."""
        return self._class(principal).over_share(principal, places)

    def displace(self, principal: Principal) -> Waiter | None:
        """Take out the last call of the owner that fills the queue most for its weight, lowest class first.

        Returns None when that would be the newcomer of ``principal``, which must be refused instead.
        """
        worst, class_ = self._worst(), self._class(principal)
        if worst is None or worst.priority > class_.priority:
            return None
        if worst.priority == class_.priority:
            own = class_.owner(principal)
            if own is worst:
                return self.displace_within(principal)
            load = ((own.waiting if own is not None else 0) + 1) / class_.weight_with(principal)
            if load >= worst.load:
                return None
        return self._take_out(worst)

    def displace_within(self, principal: Principal) -> Waiter | None:
        """Take out the last call of the owner's own key that fills the queue most for its weight.

        Returns None when that would be the newcomer of ``principal``.
        """
        owner = self._class(principal).owner(principal)
        if owner is None or not owner.waiting:
            return None
        own = owner.active.get(principal.id)
        load = ((own.waiting if own is not None else 0) + 1) / weight_of(principal)
        return None if load >= owner.heaviest().load else self._take_out(owner)

    def ahead_of(self, principal: Principal) -> int:
        """Return about how many calls are admitted before a new one of ``principal``."""
        class_ = self._class(principal)
        before = sum(c.waiting for c in self._classes.values() if c.priority > class_.priority)
        return before + class_.ahead_of(principal)

    def _take_out(self, owner: OwnerFlow) -> Waiter:
        waiter = next(reversed(owner.heaviest().waiters.values()))
        self.leave(waiter)
        return waiter

    def _choose(self) -> PriorityClass:
        """Return the highest class, or a lower one that is owed a whole turn."""
        waiting = sorted((c for c in self._classes.values() if c.waiting), key=lambda c: -c.priority)
        if len(waiting) == 1:
            return waiting[0]
        for class_ in waiting[1:]:
            class_.credit = min(class_.credit + self.floor, 2.0)
        owed = max(waiting[1:], key=lambda c: c.credit)
        if owed.credit >= 1 - 1e-9:
            owed.credit -= 1
            return owed
        return waiting[0]

    def _class(self, principal: Principal) -> PriorityClass:
        priority = min(max(principal.priority, FIRST), LAST)
        class_ = self._classes.get(priority)
        if class_ is None:
            class_ = self._classes[priority] = PriorityClass(priority)
        return class_

    def _count_out(self, waiter: Waiter) -> None:
        self.waiting -= 1
        self.tokens -= waiter.tokens
        if not self.waiting:
            self._loads.clear()

    def _weigh(self, owner: OwnerFlow) -> None:
        self._number += 1
        owner.load_number = self._number
        heapq.heappush(self._loads, (owner.priority, -owner.load, self._number, owner))
        if len(self._loads) > 64 + 4 * self.waiting:  # stale entries outnumber the others
            self._loads = [entry for entry in self._loads if entry[3].load_number == entry[2]]
            heapq.heapify(self._loads)

    def _worst(self) -> OwnerFlow | None:
        """Return the owner to displace. Loads only grow in the heap; one that shrank is weighed again on top."""
        while self._loads:
            _, load, number, owner = self._loads[0]
            if not owner.waiting or owner.load_number != number:
                heapq.heappop(self._loads)
            elif -load != owner.load:
                heapq.heappop(self._loads)
                self._weigh(owner)
            else:
                return owner
        return None


__all__ = ("WaitingQueue",)

"""Who goes next: classes by priority, and start-time fair queueing between principals within each.

A principal's work is stamped with a virtual start time that grows by cost / weight; the smallest stamp goes first. One
that was away comes back at the present, neither punished nor paid for it. A lower class that waits is owed ``floor`` of
all admissions, and gets them before anyone.
"""

from __future__ import annotations

import asyncio
import heapq
from collections import OrderedDict

from hyperllama.identity import IDLE_PRIORITY

FIRST, LAST = IDLE_PRIORITY, 10


class Waiter:
    """One call in the queue."""

    __slots__ = ("admitted", "cost", "flow", "future", "number", "tokens")

    def __init__(self, flow: Flow, future: asyncio.Future[None], *, number: int, tokens: int, cost: int) -> None:
        self.flow = flow
        self.future = future
        self.admitted = False
        self.number = number
        self.tokens = tokens  # of its prompt
        self.cost = cost  # of prompt and answer, as guessed


class Flow:
    """One principal's calls in one class, oldest first."""

    __slots__ = ("counted", "finish", "load_number", "principal", "priority", "stamp", "tokens", "waiters", "weight")

    def __init__(self, principal: str, priority: int, weight: float) -> None:
        self.principal = principal
        self.priority = priority
        self.weight = weight
        self.finish = 0.0  # virtual time at which its admitted work ends
        self.stamp = 0.0  # of its entry in the class's heap; older entries are stale
        self.tokens = 0
        self.waiters: OrderedDict[int, Waiter] = OrderedDict()
        self.load_number = 0  # of its entry in the heap of loads; others are stale
        self.counted = 0.0  # its weight among those who wait


class Class:
    """The flows of one priority."""

    __slots__ = ("_heap", "_now", "_number", "credit", "flows", "priority", "waiting", "weights")

    def __init__(self, priority: int) -> None:
        self.priority = priority
        self.flows: dict[str, Flow] = {}
        self.waiting = 0
        self.weights = 0.0  # of the flows that wait
        self.credit = 0.0
        self._now = 0.0  # virtual time: the stamp last served
        self._number = 0
        self._heap: list[tuple[float, int, Flow]] = []

    def flow(self, principal: str, weight: float) -> Flow:
        flow = self.flows.get(principal)
        if flow is None:
            flow = self.flows[principal] = Flow(principal, self.priority, weight)
            flow.finish = self._now
        flow.weight = weight
        return flow

    def push(self, waiter: Waiter) -> None:
        flow = waiter.flow
        flow.waiters[waiter.number] = waiter
        flow.tokens += waiter.tokens
        self.waiting += 1
        if len(flow.waiters) == 1:
            flow.counted = flow.weight
            self.weights += flow.counted
            self._enlist(flow)

    def pop(self) -> Waiter:
        """The next to go. There must be one."""
        while True:
            stamp, _, flow = heapq.heappop(self._heap)
            if flow.waiters and stamp == flow.stamp:
                break
        self._now = max(self._now, stamp)
        _, waiter = flow.waiters.popitem(last=False)
        flow.tokens -= waiter.tokens
        self.waiting -= 1
        flow.finish = stamp + waiter.cost / flow.weight
        if flow.waiters:
            self._enlist(flow)
        else:
            self._emptied(flow)
        return waiter

    def remove(self, waiter: Waiter) -> bool:
        """Take it out of line as if it had never come. False: it was not in line."""
        flow = waiter.flow
        if flow.waiters.pop(waiter.number, None) is None:
            return False
        flow.tokens -= waiter.tokens
        self.waiting -= 1
        if not flow.waiters:
            self._emptied(flow)
        return True

    def correct(self, waiter: Waiter, cost: int) -> None:
        """It did not cost what was guessed: its principal's later work starts earlier, or later."""
        flow = self.flows.get(waiter.flow.principal)
        if flow is None or cost == waiter.cost:
            return
        flow.finish += (cost - waiter.cost) / flow.weight
        if flow.waiters:
            self._enlist(flow)
        else:
            self._forget(flow)

    def _enlist(self, flow: Flow) -> None:
        self._number += 1
        flow.stamp = max(self._now, flow.finish)
        heapq.heappush(self._heap, (flow.stamp, self._number, flow))
        if self._number % 1024 == 0:
            past = [name for name, flow in self.flows.items() if flow.finish <= self._now and not flow.waiters]
            for name in past:
                del self.flows[name]
        if len(self._heap) > 64 + 4 * len(self.flows):
            self._heap = [
                (stamp, number, flow) for stamp, number, flow in self._heap if flow.waiters and stamp == flow.stamp
            ]
            heapq.heapify(self._heap)

    def _emptied(self, flow: Flow) -> None:
        self.weights -= flow.counted
        self._forget(flow)

    def _forget(self, flow: Flow) -> None:
        """Drop a flow that owes nothing; all of them when nobody waits, for then the past is even."""
        if not self.waiting:
            self.flows.clear()
            self._heap.clear()
            self._now = 0.0
            self.credit = 0.0
            self.weights = 0.0
        elif flow.finish <= self._now and not flow.waiters:
            self.flows.pop(flow.principal, None)


class Line:
    """Everyone who waits for one model."""

    __slots__ = ("_classes", "_loads", "_number", "floor", "tokens", "waiting")

    def __init__(self, floor: float) -> None:
        self.waiting = 0
        self.tokens = 0
        self.floor = floor
        self._classes: dict[int, Class] = {}
        self._loads: list[tuple[int, float, int, Flow]] = []  # lowest class, then greatest load for its weight
        self._number = 0

    def __bool__(self) -> bool:
        return self.waiting > 0

    def join(
        self, principal: str, *, weight: float, priority: int, tokens: int, cost: int, future: asyncio.Future[None]
    ) -> Waiter:
        """Stand in line."""
        class_ = self._class(priority)
        flow = class_.flow(principal, max(weight, 1e-6))
        self._number += 1
        waiter = Waiter(flow, future, number=self._number, tokens=tokens, cost=max(cost, 1))
        class_.push(waiter)
        self.waiting += 1
        self.tokens += tokens
        self._weigh(flow)
        return waiter

    def next(self) -> Waiter:
        """The one to go in now. There must be one."""
        waiter = self._choose().pop()
        self._left(waiter)
        return waiter

    def leave(self, waiter: Waiter) -> bool:
        """It gave up. False: it had gone in, or been put out."""
        if not self._classes[waiter.flow.priority].remove(waiter):
            return False
        self._left(waiter)
        return True

    def correct(self, waiter: Waiter, cost: int) -> None:
        """What an admitted one really cost."""
        self._classes[waiter.flow.priority].correct(waiter, max(cost, 1))

    def over_share(self, principal: str, *, weight: float, priority: int, places: int) -> bool:
        """Whether one more of ``principal`` would have more than its share of a line of ``places`` that others want."""
        class_ = self._class(priority)
        own = class_.flows.get(principal)
        mine = len(own.waiters) if own is not None else 0
        weight = max(weight, 1e-6)
        weights = class_.weights + (0.0 if mine else weight)
        return mine < class_.waiting and mine + 1 > max(1.0, places * weight / weights)

    def yield_to(self, principal: str, *, weight: float, priority: int) -> Waiter | None:
        """Put out the last comer of whoever fills the line most for its weight, lowest class first.

        None: that is the newcomer itself, who must then be refused.
        """
        worst = self._worst()
        if worst is None or worst.priority > _clamped(priority):
            return None
        if worst.priority == _clamped(priority):
            own = self._classes[worst.priority].flows.get(principal)
            mine = (len(own.waiters) if own is not None else 0) + 1
            if own is worst or mine / max(weight, 1e-6) >= len(worst.waiters) / worst.weight:
                return None
        waiter = next(reversed(worst.waiters.values()))
        self.leave(waiter)
        return waiter

    def ahead_of(self, principal: str, *, weight: float, priority: int) -> int:
        """About how many go in before a newcomer of ``principal``: the higher classes, and others between its turns."""
        before = sum(c.waiting for c in self._classes.values() if c.priority > _clamped(priority))
        class_ = self._classes.get(_clamped(priority))
        if class_ is None or not class_.waiting:
            return before
        own = class_.flows.get(principal)
        mine = (len(own.waiters) if own is not None else 0) + 1
        turns = mine / max(weight, 1e-6)
        if len(class_.flows) > 64:  # exact sums are for small crowds
            return before + class_.waiting
        others = sum(min(len(f.waiters), turns * f.weight) for f in class_.flows.values() if f is not own)
        return before + min(int(others) + mine - 1, class_.waiting)

    def _choose(self) -> Class:
        """The highest class, unless a lower one has been owed a whole turn."""
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

    def _class(self, priority: int) -> Class:
        priority = _clamped(priority)
        class_ = self._classes.get(priority)
        if class_ is None:
            class_ = self._classes[priority] = Class(priority)
        return class_

    def _left(self, waiter: Waiter) -> None:
        self.waiting -= 1
        self.tokens -= waiter.tokens
        if not self.waiting:
            self._loads.clear()

    def _weigh(self, flow: Flow) -> None:
        self._number += 1
        flow.load_number = self._number
        heapq.heappush(self._loads, (flow.priority, -len(flow.waiters) / flow.weight, self._number, flow))
        if len(self._loads) > 64 + 4 * self.waiting:  # stale entries outnumber the others
            self._loads = [entry for entry in self._loads if entry[3].load_number == entry[2]]
            heapq.heapify(self._loads)

    def _worst(self) -> Flow | None:
        """Loads only grow in the heap; one that has shrunk is weighed again when it surfaces."""
        while self._loads:
            _, load, number, flow = self._loads[0]
            if not flow.waiters or flow.load_number != number:
                heapq.heappop(self._loads)
            elif -load != len(flow.waiters) / flow.weight:
                heapq.heappop(self._loads)
                self._weigh(flow)
            else:
                return flow
        return None


def _clamped(priority: int) -> int:
    return min(max(priority, FIRST), LAST)


__all__ = ("Class", "Flow", "Line", "Waiter")

"""Start-time fair queueing: the share of a busy model that each owner gets, and each key of its owner's.

The work of a flow is stamped with a virtual start time that grows by cost / weight; the smallest stamp goes first. A
flow that was away comes back at the present, neither punished nor rewarded for it. Owners share a model among each
other, and the keys of an owner share its part: an owner gains nothing by having many keys. A key without an owner is
its own. An owner weighs as much as the heaviest of its keys that wait.
"""

from __future__ import annotations

import asyncio
import heapq
from collections import OrderedDict
from typing import Generic, TypeVar

from hyperllama.identity import Principal

LEAST_WEIGHT = 1e-6


class Waiter:
    """One call in the queue."""

    __slots__ = ("admitted", "cost", "flow", "future", "number", "principal", "tokens")

    def __init__(
        self, principal: Principal, flow: KeyFlow, *, future: asyncio.Future[None], number: int, tokens: int, cost: int
    ) -> None:
        self.principal = principal
        self.flow = flow
        self.future = future
        self.admitted = False
        self.number = number
        self.tokens = tokens  # of its prompt
        self.cost = cost  # of prompt and answer, as estimated


class Flow:
    """A flow of work in one schedule, the calls of a key or of an owner."""

    __slots__ = ("finish", "name", "stamp", "waiting", "weight")

    def __init__(self, name: str, weight: float) -> None:
        self.name = name
        self.weight = weight
        self.waiting = 0  # calls
        self.finish = 0.0  # virtual time at which its admitted work ends
        self.stamp = 0.0  # of its entry in the heap; older entries are stale


F = TypeVar("F", bound=Flow)


class FairSchedule(Generic[F]):
    """The order of flows that share something by weight."""

    __slots__ = ("_heap", "_number", "flows", "now")

    def __init__(self) -> None:
        self.flows: dict[str, F] = {}
        self.now = 0.0  # virtual time: the stamp last served
        self._number = 0
        self._heap: list[tuple[float, int, F]] = []

    def add(self, flow: F) -> F:
        """Let a new flow take part from now on."""
        flow.finish = self.now
        self.flows[flow.name] = flow
        return flow

    def enlist(self, flow: F) -> None:
        """Queue a flow that has calls waiting, at its place by what it had before."""
        self._number += 1
        flow.stamp = max(self.now, flow.finish)
        heapq.heappush(self._heap, (flow.stamp, self._number, flow))
        if self._number % 1024 == 0:
            for name in [name for name, flow in self.flows.items() if self._even(flow)]:
                del self.flows[name]
        if len(self._heap) > 64 + 4 * len(self.flows):
            self._heap = [(stamp, number, f) for stamp, number, f in self._heap if f.waiting and stamp == f.stamp]
            heapq.heapify(self._heap)

    def pop(self) -> F:
        """Return the flow to serve next. There must be one that waits."""
        while True:
            stamp, _, flow = heapq.heappop(self._heap)
            if flow.waiting and stamp == flow.stamp:
                self.now = max(self.now, stamp)
                return flow

    def serve(self, flow: F, cost: float) -> None:
        """Charge ``cost`` to the flow popped last, and queue it again if it still has calls waiting."""
        flow.finish = flow.stamp + cost / flow.weight
        if flow.waiting:
            self.enlist(flow)

    def correct(self, name: str, change: float) -> None:
        """Charge ``change`` more, or less: later work of the flow starts later, or earlier."""
        flow = self.flows.get(name)
        if flow is not None:
            flow.finish += change / flow.weight
            if flow.waiting:
                self.enlist(flow)
            else:
                self.forget(flow)

    def forget(self, flow: F) -> None:
        """Drop a flow that has no calls and owes nothing."""
        if self._even(flow) and self.flows.get(flow.name) is flow:
            del self.flows[flow.name]

    def clear(self) -> None:
        """Forget every flow and what it had."""
        self.flows.clear()
        self._heap.clear()
        self.now = 0.0

    def _even(self, flow: F) -> bool:
        return flow.finish <= self.now and not flow.waiting


class KeyFlow(Flow):
    """The waiting calls of one key, oldest first."""

    __slots__ = ("owner", "waiters")

    def __init__(self, name: str, weight: float, owner: OwnerFlow) -> None:
        super().__init__(name, weight)
        self.owner = owner
        self.waiters: OrderedDict[int, Waiter] = OrderedDict()

    @property
    def load(self) -> float:
        """Waiting calls by weight."""
        return self.waiting / self.weight


class OwnerFlow(Flow):
    """The keys of one owner in one priority class."""

    __slots__ = ("active", "counted", "keys", "load_number", "priority")

    def __init__(self, name: str, priority: int) -> None:
        super().__init__(name, 1.0)
        self.priority = priority
        self.keys: FairSchedule[KeyFlow] = FairSchedule()
        self.active: dict[str, KeyFlow] = {}  # the keys that wait
        self.counted = 0.0  # its weight among the owners that wait
        self.load_number = 0  # of its entry in the heap of loads; others are stale

    @property
    def load(self) -> float:
        """Waiting calls by weight."""
        return self.waiting / self.weight

    def heaviest(self) -> KeyFlow:
        """Return the key with the most calls waiting for its weight. There must be one that waits."""
        return max(self.active.values(), key=lambda key: key.load)


def owner_of(principal: Principal) -> str:
    """Return the name of the flow that the principal's calls belong to: its owner's, or its own."""
    return f"owner:{principal.owner}" if principal.owner else f"key:{principal.id}"


def weight_of(principal: Principal) -> float:
    """Return the principal's weight, above zero."""
    return max(principal.weight, LEAST_WEIGHT)


__all__ = ("FairSchedule", "Flow", "KeyFlow", "OwnerFlow", "Waiter", "owner_of", "weight_of")

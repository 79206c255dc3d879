"""The gate of rate limits: reserves what a call may use, and settles with what it used.

Real use can exceed the reservation only where the client bounded nothing: by the length of an answer beyond
``assumed_output_tokens``, and by the error of the estimate of its prompt. The excess is booked too, and has to leave
the window before the next call is admitted to it.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from types import TracebackType

from hyperllama.config import Limits
from hyperllama.errors import RateLimited
from hyperllama.identity import Principal
from hyperllama.limits import allowances, estimate
from hyperllama.limits.allowances import Kind, LimitPolicy, Window
from hyperllama.limits.local import LocalStore
from hyperllama.limits.reservation import Reservation, ReservationOutcome, WindowState
from hyperllama.limits.shared import SharedStore, connect
from hyperllama.spi import Call

POLICIES = 4096


class RateLimits:
    """Requests, tokens and concurrent calls, by key, owner, network and model; all windows at once.

    In memory nothing is awaited. With shared storage a call costs one round trip, and :meth:`__aenter__` opens it.
    """

    order = 100

    def __init__(self, limits: Limits, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._limits = limits
        self._clock = clock
        self._local = LocalStore()
        self._shared: SharedStore | None = connect(limits, self._local, clock)
        self._policies: dict[tuple[str, str, str, str], tuple[dict[str, object], LimitPolicy]] = {}

    async def __aenter__(self) -> RateLimits:
        if self._shared is not None:
            await self._shared.open()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._shared is not None:
            await self._shared.close()

    def reload(self, limits: Limits) -> None:
        """Apply new allowances; what was used stays used. The storage stays the one opened at start."""
        self._limits = limits
        self._policies.clear()

    async def enter(self, call: Call) -> None:
        """Reserve, or raise RateLimited with the time to wait."""
        policy = self._policy(call.caller.principal, call.info.name)
        if not policy:
            return
        amounts = self._amounts(call, policy)
        reservations = tuple(Reservation(w.key, w.limit, w.seconds, amounts[w.kind]) for w in policy.windows)
        self._check_size(policy, reservations)
        if self._shared is None:
            outcome = self._local.reserve(reservations, policy.slots, self._clock())
        else:
            outcome = await self._shared.reserve(reservations, policy.slots)
        if not outcome.admitted:
            raise _refusal(policy, outcome)
        if policy.windows:
            call.headers.update(_headers(policy.windows, outcome.windows))
        call.on_finish.append(_Settlement(self, policy, reservations, outcome, self._clock()).settle)

    def settle(
        self,
        policy: LimitPolicy,
        reservations: Sequence[Reservation],
        outcome: ReservationOutcome,
        used: Sequence[int],
        seconds: float,
    ) -> None:
        """Correct the reservations to ``used``, and release the slots, held for ``seconds``."""
        if self._shared is None:
            slices = [window.slice for window in outcome.windows]
            self._local.settle(reservations, slices, used, self._clock())
            self._local.release(policy.slots, seconds)
        else:
            self._shared.settle(outcome, reservations, used, policy.slots, seconds)

    @property
    def clock(self) -> Callable[[], float]:
        return self._clock

    def _policy(self, principal: Principal, model: str) -> LimitPolicy:
        name = (principal.id, principal.owner, principal.network, model)
        known = self._policies.get(name)
        if known is not None and (known[0] is principal.limits or known[0] == principal.limits):
            return known[1]
        if len(self._policies) >= POLICIES:
            self._policies.clear()
        policy = allowances.policy(principal, model, self._limits)
        self._policies[name] = (principal.limits, policy)
        return policy

    def _amounts(self, call: Call, policy: LimitPolicy) -> dict[Kind, int]:
        prompt = answer = 0
        if any(window.kind != "requests" for window in policy.windows):
            bounds = [(w.limit, w.kind == "tokens") for w in policy.windows if w.kind in ("output_tokens", "tokens")]
            prompt, answer = estimate.call_tokens(call, assumed=self._limits.assumed_output_tokens, bounds=bounds)
        return _by_kind(call.requests, prompt, answer)

    @staticmethod
    def _check_size(policy: LimitPolicy, reservations: Sequence[Reservation]) -> None:
        for window, reservation in zip(policy.windows, reservations, strict=True):
            if reservation.amount > window.limit:
                kind = window.kind.replace("_", " ")
                raise RateLimited(
                    f"The request is too large for {window.holder}: it may take {reservation.amount} {kind}, "
                    f"and the limit is {window.rate}. Send less, or ask for fewer tokens.",
                    headers=_headers((window,), (WindowState(0, 0.0, 0.0),)),
                )


class _Settlement:
    """The debt of one admitted call."""

    __slots__ = ("_limits", "_outcome", "_policy", "_reservations", "_since")

    def __init__(
        self,
        limits: RateLimits,
        policy: LimitPolicy,
        reservations: Sequence[Reservation],
        outcome: ReservationOutcome,
        since: float,
    ) -> None:
        self._limits, self._policy, self._reservations = limits, policy, reservations
        self._outcome, self._since = outcome, since

    async def settle(self, call: Call) -> None:
        used = _used(call)
        amounts = [used[window.kind] for window in self._policy.windows]
        held = max(self._limits.clock() - self._since, 0.0)
        self._limits.settle(self._policy, self._reservations, self._outcome, amounts, held)


def _used(call: Call) -> dict[Kind, int]:
    """Return what the call is charged for.

    Refused by a gate: nothing. Refused by the engine: the request. Cancelled: the prompt, once the engine had it, and
    the tokens made. Failed: the tokens made, and the prompt once the first of them had come.
    """
    if call.outcome == "refused":
        return _by_kind(call.charged, 0, 0)
    if call.usage is not None:
        return _by_kind(call.charged, call.usage.prompt_tokens, call.usage.completion_tokens)
    worked = call.submitted if call.outcome == "cancelled" else call.first
    return _by_kind(call.charged, estimate.prompt_tokens(call) if worked else 0, call.tokens)


def _by_kind(requests: int, prompt: int, answer: int) -> dict[Kind, int]:
    return {"requests": requests, "input_tokens": prompt, "output_tokens": answer, "tokens": prompt + answer}


def _refusal(policy: LimitPolicy, outcome: ReservationOutcome) -> RateLimited:
    if outcome.full is not None:
        wait = max(outcome.wait, 0.1)
        holder, limit = policy.holders[outcome.full], policy.slots[outcome.full].limit
        return RateLimited(
            f"Too many requests at the same time for {holder}: the limit is {limit}. Wait for one to finish.",
            retry_after=wait,
        )
    index = max(range(len(outcome.windows)), key=lambda i: outcome.windows[i].wait)
    window, wait = policy.windows[index], max(outcome.windows[index].wait, 0.001)
    return RateLimited(
        f"Rate limit reached for {window.holder}: {window.rate}. Try again in {_seconds(wait)}.",
        retry_after=wait,
        headers=_headers(policy.windows, outcome.windows),
    )


def _headers(windows: Sequence[Window], states: Sequence[WindowState]) -> dict[str, str]:
    """Return ``x-ratelimit-{limit,remaining,reset}-*`` of the tightest window of each kind."""
    tightest: dict[str, tuple[float, Window, WindowState]] = {}
    kind: str
    for window, state in zip(windows, states, strict=True):
        left = (window.limit - state.used) / window.limit
        kind = window.kind
        if kind not in tightest or left < tightest[kind][0]:
            tightest[kind] = (left, window, state)
    if "tokens" not in tightest:
        parts = [tightest[part] for part in ("input_tokens", "output_tokens") if part in tightest]
        if parts:
            tightest["tokens"] = min(parts, key=lambda part: part[0])
    headers = {}
    for kind, (_, window, state) in tightest.items():
        name = kind.replace("_", "-")
        headers[f"x-ratelimit-limit-{name}"] = str(window.limit)
        headers[f"x-ratelimit-remaining-{name}"] = str(max(window.limit - state.used, 0))
        headers[f"x-ratelimit-reset-{name}"] = _seconds(state.reset)
    return headers


def _seconds(seconds: float) -> str:
    """Format as OpenAI does: ``20ms``, ``7s``, ``6m0s``, ``23h59m1s``. Rounds up."""
    if seconds < 1:
        return f"{math.ceil(seconds * 1000)}ms"
    whole = math.ceil(seconds)
    hours, rest = divmod(whole, 3600)
    minutes, left = divmod(rest, 60)
    return (f"{hours}h" if hours else "") + (f"{minutes}m" if whole >= 60 else "") + f"{left}s"


__all__ = ("RateLimits",)

"""The gate of rate limits: sets aside what a call may use, and settles with what it used.

Real use can exceed what was set aside only where the client bounded nothing: by the length of an answer beyond
``assumed_output_tokens``, and by the error of the guess at its prompt. The excess is booked too, and paid off before
anyone draws from that window again.
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
from hyperllama.limits.allowances import Kind, Meter, Plan
from hyperllama.limits.shared import SharedWindows, connect
from hyperllama.limits.windows import Draw, Reading, Taken, Windows
from hyperllama.spi import Call

PLANS = 4096


class RateLimits:
    """Requests, tokens and concurrent calls, by key, owner, network and model; all windows at once.

    In memory nothing is awaited. With shared storage it is one round trip, and :meth:`__aenter__` opens it.
    """

    order = 100

    def __init__(self, limits: Limits, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._limits = limits
        self._clock = clock
        self._local = Windows()
        self._shared: SharedWindows | None = connect(limits, self._local, clock)
        self._plans: dict[tuple[str, str, str, str], tuple[dict[str, object], Plan]] = {}

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
        """Take on new allowances; what was used stays used. The storage stays the one opened at start."""
        self._limits = limits
        self._plans.clear()

    async def enter(self, call: Call) -> None:
        """Set aside, or raise RateLimited with the time to wait."""
        plan = self._plan(call.caller.principal, call.info.name)
        if not plan:
            return
        amounts = self._amounts(call, plan)
        draws = tuple(Draw(m.key, m.limit, m.seconds, amounts[m.kind]) for m in plan.meters)
        self._check_size(plan, draws)
        if self._shared is None:
            taken = self._local.take(draws, plan.seats, self._clock())
        else:
            taken = await self._shared.take(draws, plan.seats)
        if not taken.admitted:
            raise _refusal(plan, draws, taken)
        if plan.meters:
            call.headers.update(_headers(plan.meters, taken.readings))
        call.on_finish.append(_Settlement(self, plan, draws, taken, self._clock()).settle)

    def settle(self, plan: Plan, draws: Sequence[Draw], taken: Taken, used: Sequence[int], seconds: float) -> None:
        """Correct what ``taken`` set aside to ``used``, and give its seats back."""
        if self._shared is None:
            self._local.settle(draws, [reading.slice for reading in taken.readings], used, self._clock())
            self._local.leave(plan.seats, seconds)
        else:
            self._shared.settle(taken, draws, used, plan.seats, seconds)

    @property
    def clock(self) -> Callable[[], float]:
        return self._clock

    def _plan(self, principal: Principal, model: str) -> Plan:
        name = (principal.id, principal.owner, principal.network, model)
        known = self._plans.get(name)
        if known is not None and (known[0] is principal.limits or known[0] == principal.limits):
            return known[1]
        if len(self._plans) >= PLANS:
            self._plans.clear()
        plan = allowances.plan(principal, model, self._limits)
        self._plans[name] = (principal.limits, plan)
        return plan

    def _amounts(self, call: Call, plan: Plan) -> dict[Kind, int]:
        amounts: dict[Kind, int] = {"requests": 1, "input_tokens": 0, "output_tokens": 0, "tokens": 0}
        if any(meter.kind != "requests" for meter in plan.meters):
            prompt = estimate.prompt_tokens(call)
            assumed = self._limits.assumed_output_tokens
            for meter in plan.meters:  # a guess of ours must not make a request impossible
                if meter.kind in ("output_tokens", "tokens"):
                    assumed = min(assumed, max(meter.limit - (prompt if meter.kind == "tokens" else 0), 1))
            answer = estimate.answer_tokens(call.request, call.info, assumed=assumed)
            amounts.update({"input_tokens": prompt, "output_tokens": answer, "tokens": prompt + answer})
        return amounts

    @staticmethod
    def _check_size(plan: Plan, draws: Sequence[Draw]) -> None:
        for meter, draw in zip(plan.meters, draws, strict=True):
            if draw.amount > draw.limit:
                kind = meter.kind.replace("_", " ")
                raise RateLimited(
                    f"The request is too large for {meter.whose}: it may take {draw.amount} {kind}, "
                    f"and the limit is {meter.rate}. Send less, or ask for fewer tokens.",
                    headers=_headers((meter,), (Reading(0, 0.0, 0.0),)),
                )


class _Settlement:
    """What one admitted call owes."""

    __slots__ = ("_draws", "_limits", "_plan", "_since", "_taken")

    def __init__(self, limits: RateLimits, plan: Plan, draws: Sequence[Draw], taken: Taken, since: float) -> None:
        self._limits, self._plan, self._draws, self._taken, self._since = limits, plan, draws, taken, since

    async def settle(self, call: Call) -> None:
        used = _used(call)
        amounts = [used[meter.kind] for meter in self._plan.meters]
        held = max(self._limits.clock() - self._since, 0.0)
        self._limits.settle(self._plan, self._draws, self._taken, amounts, held)


def _used(call: Call) -> dict[Kind, int]:
    """Refused: nothing. Cancelled: the prompt, once the engine had it, and the tokens made. Failed: what came."""
    if call.outcome == "refused":
        return {"requests": 0, "input_tokens": 0, "output_tokens": 0, "tokens": 0}
    if call.usage is not None:
        prompt, answer = call.usage.prompt_tokens, call.usage.completion_tokens
    else:
        worked = call.submitted if call.outcome == "cancelled" else call.first
        prompt, answer = (estimate.prompt_tokens(call) if worked else 0), call.tokens
    return {"requests": 1, "input_tokens": prompt, "output_tokens": answer, "tokens": prompt + answer}


def _refusal(plan: Plan, draws: Sequence[Draw], taken: Taken) -> RateLimited:
    if taken.full is not None:
        wait = max(taken.wait, 0.1)
        whose, limit = plan.rooms[taken.full], plan.seats[taken.full].limit
        return RateLimited(
            f"Too many requests at the same time for {whose}: the limit is {limit}. Wait for one to finish.",
            retry_after=wait,
        )
    index = max(range(len(draws)), key=lambda i: taken.readings[i].wait)
    meter, wait = plan.meters[index], max(taken.readings[index].wait, 0.001)
    return RateLimited(
        f"Rate limit reached for {meter.whose}: {meter.rate}. Try again in {_seconds(wait)}.",
        retry_after=wait,
        headers=_headers(plan.meters, taken.readings),
    )


def _headers(meters: Sequence[Meter], readings: Sequence[Reading]) -> dict[str, str]:
    """``x-ratelimit-{limit,remaining,reset}-*`` of the tightest window of each kind."""
    tightest: dict[str, tuple[float, Meter, Reading]] = {}
    kind: str
    for meter, reading in zip(meters, readings, strict=True):
        left = (meter.limit - reading.used) / meter.limit
        kind = meter.kind
        if kind not in tightest or left < tightest[kind][0]:
            tightest[kind] = (left, meter, reading)
    if "tokens" not in tightest:
        parts = [tightest[part] for part in ("input_tokens", "output_tokens") if part in tightest]
        if parts:
            tightest["tokens"] = min(parts, key=lambda part: part[0])
    headers = {}
    for kind, (_, meter, reading) in tightest.items():
        name = kind.replace("_", "-")
        headers[f"x-ratelimit-limit-{name}"] = str(meter.limit)
        headers[f"x-ratelimit-remaining-{name}"] = str(max(meter.limit - reading.used, 0))
        headers[f"x-ratelimit-reset-{name}"] = _seconds(reading.reset)
    return headers


def _seconds(seconds: float) -> str:
    """As OpenAI writes them: ``20ms``, ``7s``, ``6m0s``, ``23h59m1s``. Never less than it is."""
    if seconds < 1:
        return f"{math.ceil(seconds * 1000)}ms"
    whole = math.ceil(seconds)
    hours, rest = divmod(whole, 3600)
    minutes, left = divmod(rest, 60)
    return (f"{hours}h" if hours else "") + (f"{minutes}m" if whole >= 60 else "") + f"{left}s"


__all__ = ("RateLimits",)

"""The gate of quotas: requests and tokens a calendar day and month, in UTC, counted by the usage ledger."""

from __future__ import annotations

import calendar
import time
from collections.abc import Callable

from hyperllama.config import Allowance, Limits
from hyperllama.database.usage import Ledger
from hyperllama.errors import RateLimited, Unavailable
from hyperllama.identity import Principal
from hyperllama.limits import allowances, estimate
from hyperllama.spi import Call

KNOWN = 4096


class Quotas:
    """Counts finished calls, and running ones as if they took all they may. Reads the database once, at first use."""

    order = 90

    def __init__(self, limits: Limits, ledger: Ledger, *, wall: Callable[[], float] = time.time) -> None:
        self._limits = limits
        self._ledger = ledger
        self._wall = wall
        self._known: dict[str, tuple[dict[str, object], Allowance | None]] = {}
        self._running: dict[str, tuple[int, int]] = {}  # requests and tokens under way, by key

    def reload(self, limits: Limits) -> None:
        """Apply new quotas."""
        self._limits = limits
        self._known.clear()

    async def enter(self, call: Call) -> None:
        """Raise RateLimited with the time until the day or month is over, when a quota is used up."""
        principal = call.caller.principal
        allowance = self._allowance(principal)
        if allowance is None:
            return
        if not self._ledger.watched:
            try:
                await self._ledger.watch()
            except Exception as error:
                raise Unavailable("Quotas cannot be checked at the moment.", retry_after=5) from error
        tokens = self._tokens(call, allowance)
        self._check(principal, allowance, call.requests, tokens)
        requests, under_way = self._running.get(principal.id, (0, 0))
        self._running[principal.id] = requests + call.requests, under_way + tokens

        async def done(_: Call) -> None:
            requests, under_way = self._running.get(principal.id, (0, 0))
            left = requests - call.requests, under_way - tokens
            if left == (0, 0):
                self._running.pop(principal.id, None)
            else:
                self._running[principal.id] = left

        call.on_finish.append(done)

    def _tokens(self, call: Call, allowance: Allowance) -> int:
        """Return the tokens the call may take. Raises RateLimited for more than the whole quota."""
        quotas = ((allowance.daily_tokens, "a day"), (allowance.monthly_tokens, "a month"))
        bounds = [(quota, True) for quota, _ in quotas if quota is not None]
        tokens = sum(estimate.call_tokens(call, assumed=self._limits.assumed_output_tokens, bounds=bounds))
        for quota, period in quotas:
            if quota is not None and tokens > quota:
                raise RateLimited(
                    f"The request is too large for this key: it may take {tokens} tokens, and its quota is {quota} "
                    f"{period}. Send less, or ask for fewer tokens."
                )
        return tokens

    def _check(self, principal: Principal, allowance: Allowance, new: int, tokens: int) -> None:
        used = self._ledger.totals(principal.id)
        requests, under_way = self._running.get(principal.id, (0, 0))
        for unit, quota, total in (
            ("requests a day", allowance.daily_requests, used.day_requests + requests + new),
            ("tokens a day", allowance.daily_tokens, used.day_tokens + under_way + tokens),
            ("requests a month", allowance.monthly_requests, used.month_requests + requests + new),
            ("tokens a month", allowance.monthly_tokens, used.month_tokens + under_way + tokens),
        ):
            if quota is not None and total > quota:
                wait = self._left_of("month" if unit.endswith("month") else "day")
                short = ", or too little of it is left for this request" if unit.startswith("tokens") else ""
                raise RateLimited(f"The quota of this key is used up{short}: {quota} {unit} (UTC).", retry_after=wait)

    def _allowance(self, principal: Principal) -> Allowance | None:
        known = self._known.get(principal.id)
        if known is None or (known[0] is not principal.limits and known[0] != principal.limits):
            if len(self._known) >= KNOWN:
                self._known.clear()
            allowance = allowances.key_allowance(principal, self._limits)
            known = principal.limits, allowance if allowance.quotas else None
            self._known[principal.id] = known
        return known[1]

    def _left_of(self, period: str) -> float:
        now = self._wall()
        today = time.gmtime(now)
        days = 1 if period == "day" else calendar.monthrange(today.tm_year, today.tm_mon)[1] - today.tm_mday + 1
        midnight = calendar.timegm((today.tm_year, today.tm_mon, today.tm_mday, 0, 0, 0))
        return max(midnight + days * 86_400 - now, 1.0)


__all__ = ("Quotas",)

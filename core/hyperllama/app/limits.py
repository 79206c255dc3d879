"""Rate limits, quotas and the queue, which apply to a call in this order."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from hyperllama.app.plugins import Plugins
from hyperllama.config import Config
from hyperllama.database.usage import Ledger
from hyperllama.limits.quotas import Quotas
from hyperllama.limits.rate_limits import RateLimits
from hyperllama.queue.queue import FairQueue
from hyperllama.spi import Gate


class Limits(msgspec.Struct, frozen=True):
    """``gates`` are all of them and those of plugins, in their order."""

    rates: RateLimits
    quotas: Quotas
    queue: FairQueue
    gates: Sequence[Gate]

    def reload(self, config: Config) -> None:
        """Apply new limits to the next requests; those that were admitted keep what they have."""
        self.rates.reload(config.limits)
        self.quotas.reload(config.limits)
        self.queue.reload(config.queue)


def build_limits(config: Config, plugins: Plugins, ledger: Ledger) -> Limits:
    """Return the gates of every generation. Open nothing."""
    rates = RateLimits(config.limits)
    quotas = Quotas(config.limits, ledger)
    queue = FairQueue(config.queue)
    gates: tuple[Gate, ...] = (rates, quotas, queue, *plugins.gates())
    return Limits(rates, quotas, queue, sorted(gates, key=lambda gate: gate.order))


__all__ = ("Limits", "build_limits")

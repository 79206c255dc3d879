"""The engine ``sim``: needs no files and nothing installed."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from pathlib import Path

from hyperllama.errors import LoadFailed
from hyperllama.host import HostOptions, launch
from hyperllama.models import LoadProgress, ModelInfo, ModelSpec
from hyperllama.spi import LoadedModel, Report
from hyperllama_sim.describe import describe, phases
from hyperllama_sim.model import SimModel
from hyperllama_sim.settings import options_of
from hyperllama_sim.static import StaticSimModel
from hyperllama_sim.worker import fails

WORKER = "hyperllama_sim.worker:SimWorker"


class SimEngine:
    """The engine. It counts the loads of each model by name, so that ``fail_loads`` can end."""

    name = "sim"

    def __init__(self) -> None:
        self.loads: Counter[str] = Counter()

    def describe(self, spec: ModelSpec, path: Path | None) -> ModelInfo:
        return describe(spec, options_of(spec))

    def sharing(self, spec: ModelSpec, path: Path | None) -> str:
        """Name what a load makes by its options; the core adds the model that it is a copy of."""
        return repr((spec.device, spec.max_batch_size, spec.max_length, sorted(spec.options.items())))

    async def load(self, spec: ModelSpec, path: Path | None, report: Report) -> LoadedModel:
        options = options_of(spec)
        self.loads[spec.name] += 1
        number = self.loads[spec.name]
        if options.placement == "host":
            host = HostOptions(
                factory=WORKER,
                settings={"load": number},
                silence=options.silence,
                longest_step=options.longest_step,
            )
            return await launch(spec.name, host, spec, path, report)
        await _wait(options.load_seconds, report)
        if fails(options, number):
            raise LoadFailed(f"model {spec.name!r} did not load: {options.fail_load}")
        model = StaticSimModel if options.batching == "static" else SimModel
        return model(describe(spec, options), options)


async def _wait(seconds: float, report: Report) -> None:
    begun = time.monotonic()
    for phase, until in phases():
        while True:
            passed = time.monotonic() - begun
            report(LoadProgress(phase, seconds=passed, estimate=seconds))
            if passed >= seconds * until:
                break
            await asyncio.sleep(min(0.25, seconds * until - passed))
    report(LoadProgress("ready", seconds=time.monotonic() - begun, estimate=seconds))


__all__ = ("WORKER", "SimEngine")

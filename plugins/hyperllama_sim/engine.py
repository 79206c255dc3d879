"""The engine ``sim``: needs no files and nothing installed."""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections import Counter
from pathlib import Path

from hyperllama.errors import LoadFailed
from hyperllama.models import Capability, LoadProgress, ModelInfo, ModelSpec, Phase
from hyperllama.spi import LoadedModel, Report
from hyperllama_sim.model import SimModel
from hyperllama_sim.settings import SimOptions, options_of
from hyperllama_sim.tokens import VOCABULARY

_EVERYTHING: frozenset[Capability] = frozenset(
    {"completion", "chat", "tools", "thinking", "insert", "structured", "logprobs"}
)


class SimEngine:
    """Counts the loads of each model by name, so that ``fail_loads`` can end."""

    name = "sim"

    def __init__(self) -> None:
        self.loads: Counter[str] = Counter()

    def describe(self, spec: ModelSpec, path: Path | None) -> ModelInfo:
        return describe(spec, options_of(spec))

    async def load(self, spec: ModelSpec, path: Path | None, report: Report) -> LoadedModel:
        options = options_of(spec)
        self.loads[spec.name] += 1
        begun = time.monotonic()
        await _wait(options.load_seconds, begun, report)
        if options.fail_load is not None and not 0 < options.fail_loads < self.loads[spec.name]:
            raise LoadFailed(f"model {spec.name!r} did not load: {options.fail_load}")
        report(LoadProgress("ready", seconds=time.monotonic() - begun, estimate=options.load_seconds))
        return SimModel(describe(spec, options), options)


def describe(spec: ModelSpec, options: SimOptions) -> ModelInfo:
    """What a model of these options is."""
    capabilities = options.capabilities
    embeds: frozenset[Capability] = frozenset({"embedding"} if options.embedding else ())
    return ModelInfo(
        name=spec.name,
        engine="sim",
        capabilities=_EVERYTHING | embeds if capabilities is None else frozenset(capabilities),
        context_length=spec.max_length or options.context_length,
        aliases=spec.aliases,
        digest=hashlib.sha256(f"sim {spec.name} {sorted(spec.options.items())}".encode()).hexdigest(),
        size_bytes=options.memory_mb << 20,
        memory_bytes=options.memory_mb << 20,
        format="sim",
        family="sim",
        quantization="F32",
        embedding_length=options.embedding,
        vocab_size=VOCABULARY,
        max_batch_size=spec.max_batch_size,
        max_logprobs=20,
        system=spec.system,
        parameters=spec.parameters,
    )


async def _wait(seconds: float, begun: float, report: Report) -> None:
    """A load of ``seconds``, in three phases that are reported as they go."""
    phases: tuple[tuple[Phase, float], ...] = (("starting", 0.1), ("loading", 0.8), ("warming", 1.0))
    for phase, until in phases:
        while True:
            passed = time.monotonic() - begun
            report(LoadProgress(phase, seconds=passed, estimate=seconds))
            if passed >= seconds * until:
                break
            await asyncio.sleep(min(0.25, seconds * until - passed))


__all__ = ("SimEngine", "describe")

"""The description of a sim model and the phases of its load, in the gateway and in a host."""

from __future__ import annotations

import hashlib

from hyperllama.models import Capability, ModelInfo, ModelSpec, Phase
from hyperllama_sim.settings import SimOptions
from hyperllama_sim.tokens import VOCABULARY

_EVERYTHING: frozenset[Capability] = frozenset(
    {"completion", "chat", "tools", "thinking", "insert", "structured", "logprobs"}
)


def phases() -> tuple[tuple[Phase, float], ...]:
    """Return the phases of a load, with the part of its time at which each ends."""
    return ("starting", 0.1), ("loading", 0.8), ("warming", 1.0)


def describe(spec: ModelSpec, options: SimOptions) -> ModelInfo:
    """Return the description of a model with these options."""
    capabilities = options.capabilities
    embeds: frozenset[Capability] = frozenset({"embedding"} if options.embedding else ())
    return ModelInfo(
        name=spec.name,
        engine="sim",
        capabilities=_EVERYTHING | embeds if capabilities is None else frozenset(capabilities),
        context_length=spec.max_length or options.context_length,
        aliases=spec.aliases,
        digest=hashlib.sha256(f"sim {sorted(spec.options.items())}".encode()).hexdigest(),
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


__all__ = ("describe", "phases")

"""The batch of a model, made smaller where the memory budget does not hold the configured one."""

from __future__ import annotations

import msgspec

from hyperllama.models import ModelInfo, ModelSpec


def fitted(spec: ModelSpec, info: ModelInfo, budget: int) -> tuple[ModelSpec, ModelInfo]:
    """Return ``spec`` and ``info`` with as many places in the batch as ``budget`` bytes hold, at least one.

    The length of the context never changes. Both are returned unchanged where the model fits, or where its places
    take no memory of the budget.
    """
    places, each = info.max_batch_size, info.place_bytes
    if info.memory_bytes <= budget or each <= 0 or places <= 1:
        return spec, info
    fixed = info.memory_bytes - places * each
    fewer = min(max((budget - fixed) // each, 1), places)
    return (
        msgspec.structs.replace(spec, max_batch_size=fewer),
        msgspec.structs.replace(info, max_batch_size=fewer, memory_bytes=fixed + fewer * each),
    )


__all__ = ("fitted",)

"""The cosines and sines of rotary positions, as tables for the graph."""

from __future__ import annotations

import math
from typing import Any, Final

from hyperllama_max.families.description import Rope

ROWS: Final = 8192  # rows of a table are a multiple of this, so that contexts up to it share one compiled graph


def inverse(rope: Rope, length: int) -> Any:
    """Return the turn a token of each pair of dimensions, in radians, for contexts of up to ``length`` tokens."""
    import numpy as np

    steps = np.arange(0, rope.dims, 2, dtype=np.float64) / rope.dims
    theta = rope.theta
    if rope.kind == "dynamic" and length > rope.original:
        stretched = rope.factor * length / rope.original - (rope.factor - 1)
        theta *= stretched ** (rope.dims / (rope.dims - 2))
    plain = theta**-steps
    match rope.kind:
        case "linear":
            return plain / rope.factor
        case "llama3":
            waves = rope.original * plain / (2 * math.pi)
            share = np.clip((waves - rope.low) / (rope.high - rope.low), 0, 1)
            return (1 - share) * plain / rope.factor + share * plain
        case "yarn":
            share = 1 - _ramp(rope)
            return plain / rope.factor * (1 - share) + plain * share
        case "longrope":
            return plain / np.array(rope.long_factors if length > rope.original else rope.short_factors)
    return plain


def _ramp(rope: Rope) -> Any:
    import numpy as np

    def place(turns: float) -> float:
        return rope.dims * math.log(rope.original / (turns * 2 * math.pi)) / (2 * math.log(rope.theta))

    low, high = place(rope.beta_fast), place(rope.beta_slow)
    if rope.truncate:
        low, high = math.floor(low), math.ceil(high)
    low, high = max(low, 0), min(high, rope.dims - 1)
    if low == high:
        high += 0.001
    return np.clip((np.arange(rope.dims // 2) - low) / (high - low), 0, 1)


def table(rope: Rope | None, head_dim: int, length: int) -> Any:
    """Return cosines and sines side by side, float32 [rows, head_dim]; of ``None`` the table that turns nothing."""
    import numpy as np

    rows = -(-length // ROWS) * ROWS
    found = np.zeros((rows, head_dim // 2, 2), np.float32)
    found[..., 0] = 1
    if rope is not None:
        angles = np.arange(rows, dtype=np.float64)[:, None] * inverse(rope, length)
        found[:, : rope.dims // 2, 0] = np.cos(angles) * rope.attention
        found[:, : rope.dims // 2, 1] = np.sin(angles) * rope.attention
    return found.reshape(rows, head_dim)


__all__ = ("ROWS", "inverse", "table")

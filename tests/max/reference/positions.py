"""Inverse frequencies of rotary positions, as the papers and Hugging Face's ``modeling_rope_utils`` define them."""

from __future__ import annotations

import math
from typing import Any

import numpy as np


def frequencies(how: dict[str, Any], width: int, length: int, longest: int) -> tuple[np.ndarray, float]:
    """One number for each pair of dimensions that turns, and the factor of cosines and sines.

    ``how`` is one set of rope parameters; ``length`` the tokens of the context, ``longest`` max_position_embeddings.
    """
    kind = how.get("rope_type", how.get("type", "default"))
    dims = int(width * how.get("partial_rotary_factor", 1.0))
    base = how["rope_theta"]
    exponents = np.arange(0, dims, 2) / dims
    plain = 1.0 / base**exponents
    original = how.get("original_max_position_embeddings") or longest
    if kind == "default":
        return plain, 1.0
    if kind == "linear":
        return plain / how["factor"], 1.0
    if kind == "dynamic":
        reached = max(length, original)
        grown = base * (how["factor"] * reached / original - (how["factor"] - 1)) ** (dims / (dims - 2))
        return 1.0 / grown**exponents, 1.0
    if kind == "llama3":
        found = []
        for value in plain:
            wave = 2 * math.pi / value
            if wave < original / how["high_freq_factor"]:
                found.append(value)
            elif wave > original / how["low_freq_factor"]:
                found.append(value / how["factor"])
            else:
                span = how["high_freq_factor"] - how["low_freq_factor"]
                smooth = (original / wave - how["low_freq_factor"]) / span
                found.append((1 - smooth) * value / how["factor"] + smooth * value)
        return np.array(found), 1.0
    if kind == "yarn":
        factor = how["factor"]

        def dimension(rotations: float) -> float:
            return dims * math.log(original / (rotations * 2 * math.pi)) / (2 * math.log(base))

        low, high = dimension(how.get("beta_fast", 32)), dimension(how.get("beta_slow", 1))
        if how.get("truncate", True):
            low, high = math.floor(low), math.ceil(high)
        low, high = max(low, 0), min(high, dims - 1)
        ramp = np.clip((np.arange(dims // 2) - low) / ((high - low) or 0.001), 0, 1)
        scale = how.get("attention_factor") or 0.1 * math.log(factor) + 1
        return plain / factor * ramp + plain * (1 - ramp), scale
    if kind == "longrope":
        factors = how["long_factor"] if length > original else how["short_factor"]
        factor = how.get("factor") or longest / original
        scale = math.sqrt(1 + math.log(factor) / math.log(original)) if factor > 1 else 1.0
        return plain / np.array(factors), how.get("attention_factor") or scale
    raise ValueError(kind)

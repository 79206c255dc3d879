"""Rotary positions of config.json, by its older words (``rope_scaling``) and its newer ones (``rope_parameters``)."""

from __future__ import annotations

import math
from typing import Final, get_args

from hyperllama_max.families.description import Rope, RopeKind
from hyperllama_max.families.values import Values

_KINDS: Final = get_args(RopeKind)
_IGNORED: Final = ("type", "rope_type", "rope_theta", "partial_rotary_factor", "finetuned")


def read(values: Values, head_dim: int, theta: float) -> Rope:
    """Return the positions of all layers. ``theta`` is the base where the config names none."""
    own = values.below("rope_parameters") or values.below("rope_scaling")
    values.ignore("rope_parameters", "rope_scaling")
    return one(values, own, head_dim, values.number("rope_theta", theta))


def one(values: Values, own: Values | None, head_dim: int, theta: float) -> Rope:
    """Return the positions that ``own`` describes, an object in ``values``. Raise ConfigError."""
    share = values.number("partial_rotary_factor", 1.0)
    longest = values.whole("max_position_embeddings", 0, least=0)
    original = values.whole("original_max_position_embeddings", 0, least=0)
    if own is None:
        return Rope(dims=_dims(values, head_dim, share), theta=theta)
    theta, share = own.number("rope_theta", theta), own.number("partial_rotary_factor", share)
    dims = _dims(own, head_dim, share)
    kind = own.text("rope_type", own.text("type", "default"))
    kind = {"su": "longrope", "mrope": "mrope"}.get(kind, kind)
    if kind not in _KINDS:
        raise own.refusal("rope_type", f"is {kind[:40]!r}; supported are {', '.join(_KINDS)}")
    own.ignore(*_IGNORED)
    rope = Rope(dims=dims, theta=theta)
    match kind:
        case "linear":
            rope = Rope(dims=dims, theta=theta, kind="linear", factor=own.number("factor"))
        case "dynamic":
            rope = Rope(
                dims=dims, theta=theta, kind="dynamic", factor=own.number("factor"),
                original=own.whole("original_max_position_embeddings", original or longest),
            )  # fmt: skip
        case "llama3":
            rope = Rope(
                dims=dims, theta=theta, kind="llama3", factor=own.number("factor"),
                low=own.number("low_freq_factor"), high=own.number("high_freq_factor"),
                original=own.whole("original_max_position_embeddings", original or longest),
            )  # fmt: skip
            if rope.high <= rope.low:
                raise own.refusal("high_freq_factor", "must be above low_freq_factor")
        case "yarn":
            rope = _yarn(own, dims, theta, original or longest, longest)
        case "longrope":
            rope = _longrope(own, dims, theta, original, longest)
    own.finish(strict=True)
    return rope


def _dims(values: Values, head_dim: int, share: float) -> int:
    dims = int(head_dim * share)
    if dims % 2 or not 0 < dims <= head_dim:
        raise values.refusal(
            "partial_rotary_factor", f"makes {dims} of {head_dim} dimensions turn, which is no even share"
        )
    return dims


def _yarn(own: Values, dims: int, theta: float, fallback: int, longest: int) -> Rope:
    original = own.whole("original_max_position_embeddings", fallback)
    factor = own.number("factor", longest / original if longest else 1.0)
    above, below = own.number("mscale", 0.0), own.number("mscale_all_dim", 0.0)
    scale = _mscale(factor, above) / _mscale(factor, below) if above and below else _mscale(factor, 1.0)
    return Rope(
        dims=dims, theta=theta, kind="yarn", factor=factor, original=original,
        attention=own.number("attention_factor", scale), beta_fast=own.number("beta_fast", 32.0),
        beta_slow=own.number("beta_slow", 1.0), truncate=own.flag("truncate", True),
    )  # fmt: skip


def _mscale(factor: float, scale: float) -> float:
    return 1.0 if factor <= 1 else 0.1 * scale * math.log(factor) + 1.0


def _longrope(own: Values, dims: int, theta: float, outer: int, longest: int) -> Rope:
    original = own.whole("original_max_position_embeddings", outer or longest)
    own.ignore("original_max_position_embeddings")
    factor = own.number("factor", longest / original if longest else 1.0)
    scale = math.sqrt(1 + math.log(factor) / math.log(original)) if factor > 1 else 1.0
    short, long = own.numbers("short_factor"), own.numbers("long_factor")
    for key, factors in (("short_factor", short), ("long_factor", long)):
        if len(factors) != dims // 2:
            raise own.refusal(key, f"must have {dims // 2} numbers")
    for key in ("short_mscale", "long_mscale"):
        if own.number(key, scale) != scale:
            raise own.refusal(key, "is a setting that is not supported here, and answers without it may be wrong")
    return Rope(
        dims=dims, theta=theta, kind="longrope", factor=factor, original=outer or original,
        attention=own.number("attention_factor", scale), short_factors=short, long_factors=long,
    )  # fmt: skip


__all__ = ("one", "read")

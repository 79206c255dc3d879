"""Sampling parameters in MAX's terms; what MAX lacks on CPUs is applied to the logits here."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import msgspec

from hyperllama.errors import InvalidRequest, UnsupportedFeature
from hyperllama.generation import Sampling

#: Ollama's names for the fields, as ``parameters`` of a model spell them.
OPTION_NAMES: Final = {
    "temperature": "temperature",
    "top_p": "top_p",
    "top_k": "top_k",
    "min_p": "min_p",
    "seed": "seed",
    "repeat_penalty": "repetition_penalty",
    "presence_penalty": "presence_penalty",
    "frequency_penalty": "frequency_penalty",
    "num_predict": "max_tokens",
}
MAX_REPETITION: Final = 10.0  # more, and what a format allows could be pushed below what it does not
BANNED: Final = -1e9  # a logit no sampler takes; infinities make some of them answer nothing at all


class Defaults(msgspec.Struct, frozen=True):
    """The model's defaults for what a request leaves open: its table's ``parameters``, then its generation_config."""

    sampling: Sampling

    @classmethod
    def of(cls, parameters: Mapping[str, Any], generation_config: Mapping[str, Any]) -> Defaults:
        found: dict[str, Any] = {
            name: generation_config[name]
            for name in ("temperature", "top_p", "top_k", "min_p", "repetition_penalty")
            if isinstance(generation_config.get(name), int | float)
        }
        if generation_config.get("do_sample") is False:
            found["temperature"] = 0.0
        found |= {field: parameters[name] for name, field in OPTION_NAMES.items() if parameters.get(name) is not None}
        for name in ("max_tokens", "seed"):  # Ollama's "until the context is full" and "any"
            if isinstance(value := found.get(name), int | float) and value < 0:
                del found[name]
        return cls(msgspec.convert(found, Sampling, strict=False))

    def apply(self, sampling: Sampling) -> Sampling:
        mine = self.sampling
        changes = {
            name: value
            for name in OPTION_NAMES.values()
            if getattr(sampling, name) is None and (value := getattr(mine, name)) is not None
        }
        return msgspec.structs.replace(sampling, **changes) if changes else sampling


class Limits(msgspec.Struct, frozen=True):
    """The limits of this model as it was compiled."""

    vocab_size: int
    max_logprobs: int
    penalties: bool
    min_tokens: bool
    host_logits: bool  # its logits are in this process's memory


def parameters(
    sampling: Sampling, limits: Limits, max_new_tokens: int, *, before: Sequence[Callable[[Any], None]] = ()
) -> Any:
    """Return MAX's SamplingParams; ``sampling`` has its defaults applied. Raise InvalidRequest or UnsupportedFeature.

    ``before``: processors of logits that see them as the model gave them.
    """
    from max.pipelines.context import SamplingParams

    check(sampling, limits)
    temperature = 1.0 if sampling.temperature is None else sampling.temperature
    found: dict[str, Any] = {"temperature": temperature, "max_new_tokens": max_new_tokens}
    if sampling.top_p is not None:
        found["top_p"] = sampling.top_p
    if sampling.top_k is not None:
        # MAX takes -1 for its own limit of 255.
        found["top_k"] = sampling.top_k if 0 < sampling.top_k < limits.vocab_size else limits.vocab_size
    if temperature == 0:
        found["top_k"] = 1
    if sampling.seed is not None:
        found["seed"] = sampling.seed & (1 << 63) - 1
    for name in ("repetition_penalty", "presence_penalty", "frequency_penalty"):
        if (value := getattr(sampling, name)) is not None:
            found[name] = value
    if sampling.min_tokens:
        found["min_new_tokens"] = min(sampling.min_tokens, max_new_tokens)
    if limits.host_logits:
        if processors := [*before, *_processors(sampling, temperature)]:
            found["logits_processors"] = processors
    elif sampling.min_p:
        found["min_p"] = sampling.min_p  # its sampler on CPUs takes this and does nothing
    try:
        return SamplingParams(**found)
    except ValueError as error:
        raise InvalidRequest(f"The sampling options do not go together: {error}") from error


def check(sampling: Sampling, limits: Limits) -> None:
    """Refuse up front what would be ignored, or break the engine's step for everybody in it."""
    for name, low, high in (
        ("temperature", 0.0, 2.0),
        ("top_p", 0.0, 1.0),
        ("min_p", 0.0, 1.0),
        ("presence_penalty", -2.0, 2.0),
        ("frequency_penalty", -2.0, 2.0),
    ):
        value = getattr(sampling, name)
        if value is not None and not (math.isfinite(value) and low <= value <= high):
            raise InvalidRequest(f"{name} must be between {low:g} and {high:g} for this model.", param=name)
    penalty = sampling.repetition_penalty
    if penalty is not None and not 0 < penalty <= MAX_REPETITION:
        raise InvalidRequest(
            f"repetition_penalty must be greater than 0 and at most {MAX_REPETITION:g}.", param="repetition_penalty"
        )
    if not limits.penalties and any(
        (penalty not in (None, 1.0), sampling.presence_penalty, sampling.frequency_penalty)
    ):
        raise UnsupportedFeature("This model is loaded without penalties.", param="repetition_penalty")
    if not limits.min_tokens and sampling.min_tokens:
        raise UnsupportedFeature("This model is loaded without min_tokens.", param="min_tokens")
    if sampling.logprobs is not None and not limits.max_logprobs:
        raise UnsupportedFeature("This model gives no logprobs as it is loaded.", param="logprobs")
    if sampling.logprobs is not None and sampling.logprobs > limits.max_logprobs:
        raise UnsupportedFeature(
            f"This model gives at most {limits.max_logprobs} logprobs a token, not {sampling.logprobs}.",
            param="top_logprobs",
        )
    if not limits.host_logits and sampling.logit_bias:
        raise UnsupportedFeature("MAX has no logit_bias on GPUs.", param="logit_bias")
    for number in (*sampling.logit_bias, *sampling.stop_token_ids):
        if not 0 <= number < limits.vocab_size:
            raise InvalidRequest(f"Token id {number} is not in the model's vocabulary of {limits.vocab_size}.")


def _processors(sampling: Sampling, temperature: float) -> list[Callable[[Any], None]]:
    found: list[Callable[[Any], None]] = []
    if sampling.logit_bias:
        found.append(_bias(sampling.logit_bias))
    if sampling.min_p and temperature > 0:
        found.append(_min_p(sampling.min_p, temperature))
    return found


def _bias(bias: Mapping[int, float]) -> Callable[[Any], None]:
    import numpy as np

    ids = np.fromiter(bias.keys(), np.int64, len(bias))
    values = np.fromiter(bias.values(), np.float32, len(bias))

    def apply(inputs: Any) -> None:
        inputs.logits.to_numpy()[-1, ids] += values

    return apply


def _min_p(share: float, temperature: float) -> Callable[[Any], None]:
    """Mask tokens whose probability is less than ``share`` of the likeliest one's; in logits, a distance.

    The likeliest token is that of those that a format allows: MAX masks the others after this, at less distance than
    BANNED.
    """
    distance = temperature * math.log(share)

    def apply(inputs: Any) -> None:
        row, matcher = inputs.logits.to_numpy()[-1], inputs.context.matcher
        best = row.max() if matcher is None else row[matcher.allowed(len(row))].max(initial=BANNED)
        row[row < best + distance] = BANNED

    return apply


__all__ = ("BANNED", "OPTION_NAMES", "Defaults", "Limits", "check", "parameters")

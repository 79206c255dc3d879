"""``options``: their types and Ollama's texts, its defaults, and which of them reach the sampler."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping
from typing import Any, Literal, TypeAlias

import msgspec

from hyperllama.errors import GatewayError
from hyperllama.generation import Sampling
from hyperllama_ollama.encode.text import quote

Kind: TypeAlias = Literal["integer", "float32", "boolean", "array"]

# Names that are not here (numa, mirostat, tfs_z and others of old releases) are ignored whatever they hold.
TYPES: Mapping[str, Kind] = {
    "num_ctx": "integer",
    "num_batch": "integer",
    "num_gpu": "integer",
    "main_gpu": "integer",
    "use_mmap": "boolean",
    "num_thread": "integer",
    "draft_num_predict": "integer",
    "num_keep": "integer",
    "seed": "integer",
    "num_predict": "integer",
    "top_k": "integer",
    "top_p": "float32",
    "min_p": "float32",
    "typical_p": "float32",
    "repeat_last_n": "integer",
    "temperature": "float32",
    "repeat_penalty": "float32",
    "presence_penalty": "float32",
    "frequency_penalty": "float32",
    "stop": "array",
}
#: What Ollama samples with where neither the request nor the model says.
DEFAULTS: Mapping[str, Any] = {"temperature": 0.8, "top_k": 40, "top_p": 0.9}

MIN_CONTEXT = 4
ALL = 2**31 - 1  # new tokens: more than any context holds
_INT64 = 2**63
_FLOAT32 = 3.4028234663852886e38


class WrongOption(GatewayError):
    """An option of the wrong type, which Ollama calls its own failure."""

    status = 500
    code = "invalid_option"


class Options(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The options that have an effect here; None: not given. ``num_gpu`` and its like are only checked."""

    num_ctx: int | None = None
    num_predict: int | None = None
    seed: int | None = None
    top_k: int | None = None
    top_p: float | None = None
    min_p: float | None = None
    temperature: float | None = None
    repeat_penalty: float | None = None
    presence_penalty: float | None = None
    frequency_penalty: float | None = None
    stop: tuple[str, ...] | None = None


def parse(options: Mapping[str, Any]) -> Options:
    """Return the options. Raise WrongOption with Ollama's sentence. Integers take any number without its fraction."""
    found: dict[str, Any] = {}
    for name, value in options.items():
        kind = TYPES.get(name)
        if kind is not None and value is not None:
            found[name] = _READ[kind](name, value)
    return Options(**{name: value for name, value in found.items() if name in Options.__struct_fields__})


def sampling(options: Options, stored: Mapping[str, Any], *, logprobs: int | None) -> Sampling:
    """Return the request's values; for others None if the model has a stored value, else Ollama's default.

    None is filled in from ``stored`` below here, so "no limit" and "any seed" are spelled out where they take a stored
    value's place.
    """

    def said(name: str) -> Any:
        value = getattr(options, name)
        return DEFAULTS.get(name) if value is None and name not in stored else value

    temperature, top_p, top_k = said("temperature"), said("top_p"), said("top_k")
    seed, predict, penalty = options.seed, options.num_predict, options.repeat_penalty
    return Sampling(
        # llama.cpp takes any number for these; beyond the sensible range they mean the nearest sensible thing.
        temperature=_within(temperature, 0.0, 2.0),
        top_p=_within(top_p, 1e-6, 1.0),
        top_k=None if top_k is None else max(0, top_k),
        min_p=_within(options.min_p, 0.0, 1.0),
        seed=seed if seed is None or seed >= 0 else secrets.randbits(63) if "seed" in stored else None,
        repetition_penalty=penalty if penalty is None else min(penalty, 10.0) if penalty > 0 else 1.0,
        presence_penalty=_within(options.presence_penalty, -2.0, 2.0),
        frequency_penalty=_within(options.frequency_penalty, -2.0, 2.0),
        max_tokens=_max_tokens(predict, limited="num_predict" in stored),
        stop=None if options.stop is None else tuple(text for text in options.stop if text),
        logprobs=logprobs,
    )


def context_length(options: Options, stored: int | None) -> int | None:
    said = stored if options.num_ctx is None else options.num_ctx
    return None if said is None else max(MIN_CONTEXT, said)


def _within(value: float | None, low: float, high: float) -> float | None:
    return None if value is None else min(high, max(low, value))


def _max_tokens(predict: int | None, *, limited: bool) -> int | None:
    """Return the limit: ALL for a negative one if ``limited``, since None would mean the stored limit."""
    if predict is None or predict >= 0:
        return predict if predict is None else max(1, predict)
    return ALL if limited else None


def _integer(name: str, value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise _wrong(name, "must be of type integer")
    return max(-_INT64, min(_INT64 - 1, int(value)))


def _float32(name: str, value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise _wrong(name, "must be of type float32")
    return float(max(-_FLOAT32, min(_FLOAT32, value)))


def _boolean(name: str, value: Any) -> bool:
    if not isinstance(value, bool):
        raise _wrong(name, "must be of type boolean")
    return value


def _array(name: str, value: Any) -> tuple[str, ...]:
    if not isinstance(value, list):
        raise _wrong(name, "must be of type array")
    if not all(isinstance(item, str) for item in value):
        raise _wrong(name, "must be of an array of strings")
    return tuple(value)


def _wrong(name: str, what: str) -> WrongOption:
    return WrongOption(f"option {quote(name)} {what}", param=f"options.{name}")


_READ: Mapping[Kind, Callable[[str, Any], Any]] = {
    "integer": _integer,
    "float32": _float32,
    "boolean": _boolean,
    "array": _array,
}

__all__ = ("DEFAULTS", "TYPES", "Options", "WrongOption", "context_length", "parse", "sampling")

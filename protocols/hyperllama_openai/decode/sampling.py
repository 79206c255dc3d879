"""Sampling parameters: an absent one means the model's own default, never ours."""

from __future__ import annotations

import re
from collections.abc import Sequence

from msgspec.structs import replace

from hyperllama.config import parse_duration
from hyperllama.errors import UnsupportedFeature
from hyperllama.generation import GenerationRequest, Sampling
from hyperllama_openai.errors import InvalidValue
from hyperllama_openai.wire import limits
from hyperllama_openai.wire.shared import SamplingFields

_LEAST_TOP_P = 1e-6  # OpenAI allows 0 and means the likeliest token
_TOKEN_ID = re.compile(r"[0-9]{1,10}")
_MAX_STOP_TOKENS = 64


def sampling(request: SamplingFields, *, max_tokens: int | None, logprobs: int | None, vocab_size: int) -> Sampling:
    if request.min_tokens is not None and max_tokens is not None and request.min_tokens > max_tokens:
        raise InvalidValue("'min_tokens' must not be greater than the maximum of new tokens.", param="min_tokens")
    if len(request.stop_token_ids or ()) > _MAX_STOP_TOKENS:
        raise InvalidValue(f"'stop_token_ids' takes at most {_MAX_STOP_TOKENS} ids.", param="stop_token_ids")
    return Sampling(
        temperature=request.temperature,
        top_p=None if request.top_p is None else max(request.top_p, _LEAST_TOP_P),
        top_k=request.top_k,
        min_p=request.min_p,
        seed=request.seed,
        repetition_penalty=request.repetition_penalty or request.repeat_penalty,
        presence_penalty=request.presence_penalty,
        frequency_penalty=request.frequency_penalty,
        max_tokens=max_tokens,
        min_tokens=request.min_tokens,
        stop=_stop(request.stop),
        stop_token_ids=tuple(request.stop_token_ids or ()),
        ignore_eos=bool(request.ignore_eos),
        logit_bias=_logit_bias(request.logit_bias, vocab_size),
        logprobs=logprobs,
    )


def samples(request: GenerationRequest, n: int) -> tuple[GenerationRequest, ...]:
    """Return ``request`` once per choice; a given seed counts up from the first, so that they differ."""
    seed = request.sampling.seed
    if seed is None:
        return (request,) * n
    return tuple(replace(request, sampling=replace(request.sampling, seed=_seed(seed + sample))) for sample in range(n))


def refuse(*fields: tuple[str, object]) -> None:
    """Raise UnsupportedFeature for a known field that cannot be honoured and whose value would change the answer."""
    for name, value in fields:
        if value is not None and value is not False and value not in ("", [], {}):
            raise UnsupportedFeature(f"'{name}' is not supported by this server.", param=name)


def refuse_shared(request: SamplingFields) -> None:
    refuse(
        ("prompt_logprobs", request.prompt_logprobs),
        ("truncate_prompt_tokens", request.truncate_prompt_tokens),
        ("bad_words", request.bad_words),
        ("allowed_token_ids", request.allowed_token_ids),
    )


def check_stream_options(request: SamplingFields) -> None:
    if request.stream_options is not None and not request.stream:
        raise InvalidValue("'stream_options' is only allowed when 'stream' is true.", param="stream_options")


def choices(request: SamplingFields, *, max_n: int) -> int:
    n = request.n or 1
    if n > max_n:
        raise InvalidValue(f"Invalid value for 'n': at most {max_n} choices are allowed.", param="n")
    return n


def keep_alive(value: float | str | None) -> float | None:
    if value is None:
        return None
    try:
        return parse_duration(value)
    except ValueError as error:
        raise InvalidValue(f"Invalid value for 'keep_alive': {error}", param="keep_alive") from error


def _stop(stop: str | Sequence[str] | None) -> tuple[str, ...] | None:
    """Return the stop sequences without empty ones, which some interfaces send. None: the model's own."""
    found = tuple(text for text in ((stop,) if isinstance(stop, str) else stop or ()) if text)
    if len(found) > limits.MAX_STOPS:
        raise InvalidValue(f"Invalid value for 'stop': at most {limits.MAX_STOPS} sequences.", param="stop")
    for text in found:
        if len(text.encode()) > limits.MAX_STOP_BYTES:
            raise InvalidValue(f"Invalid value for 'stop': at most {limits.MAX_STOP_BYTES} bytes each.", param="stop")
    return found or None


def _seed(seed: int) -> int:
    """Wrap ``seed`` into 64 signed bits."""
    return (seed + 2**63) % 2**64 - 2**63


def _logit_bias(bias: dict[str, float] | None, vocab_size: int) -> dict[int, float]:
    if not bias:
        return {}
    if len(bias) > limits.MAX_LOGIT_BIAS:
        raise InvalidValue(f"'logit_bias' takes at most {limits.MAX_LOGIT_BIAS} tokens.", param="logit_bias")
    found: dict[int, float] = {}
    for key, value in bias.items():
        token = int(key) if _TOKEN_ID.fullmatch(key) else -1
        if token < 0 or (vocab_size and token >= vocab_size):
            raise InvalidValue(
                f"Invalid key in 'logit_bias': {key[:40]!r} is no token id of the model.", param="logit_bias"
            )
        found[token] = value
    return found


__all__ = ("check_stream_options", "choices", "keep_alive", "refuse", "refuse_shared", "samples", "sampling")

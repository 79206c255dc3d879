"""A completion as generations: choice ``index`` is sample ``index % n`` of prompt ``index // n``."""

from __future__ import annotations

import msgspec

from hyperllama.errors import UnsupportedFeature
from hyperllama.generation import GenerationRequest
from hyperllama.messages import Prompt, PromptTokens
from hyperllama.models import ModelInfo
from hyperllama_openai.decode import capabilities, formats, lengths, sampling
from hyperllama_openai.errors import InvalidType, InvalidValue, MissingParameter
from hyperllama_openai.settings import Settings
from hyperllama_openai.wire.completions import CompletionRequest

DEFAULT_MAX_TOKENS = 16


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """The plan of a request: ``prompts`` times ``candidates`` generations, of which ``n`` a prompt are answered."""

    prompts: tuple[Prompt | PromptTokens, ...]
    n: int
    candidates: int
    requests: tuple[GenerationRequest, ...]  # empty: nothing is to be generated, only echoed


def completions(request: CompletionRequest, info: ModelInfo, settings: Settings) -> Plan:
    """Return the plan. Raise InvalidRequest with the field at fault."""
    sampling.refuse_shared(request)
    if request.echo:
        sampling.refuse(("suffix", request.suffix))
    sampling.check_stream_options(request)
    n = sampling.choices(request, max_n=settings.max_n)
    candidates = _candidates(request, n)
    prompts = _prompts(request)
    if request.suffix and any(isinstance(prompt, PromptTokens) for prompt in prompts):
        raise UnsupportedFeature("'suffix' goes with prompts of text only, not of token ids.", param="suffix")
    for prompt in prompts:
        lengths.check(prompt, info)
    if len(prompts) * candidates > settings.max_choices:
        raise InvalidValue(
            f"Prompts times choices make {len(prompts) * candidates}; at most {settings.max_choices} are allowed.",
            param="prompt",
        )
    max_tokens = DEFAULT_MAX_TOKENS if request.max_tokens is None else request.max_tokens
    drawn = sampling.sampling(
        request,
        max_tokens=max_tokens,
        logprobs=0 if request.logprobs is None and candidates > n else request.logprobs,
        vocab_size=info.vocab_size,
    )
    template = GenerationRequest(
        model=request.model,
        input=prompts[0],
        sampling=drawn,
        output=formats.output(request),
        keep_alive=sampling.keep_alive(request.keep_alive),
        return_token_ids=bool(request.return_token_ids),
    )
    scored = bool(request.echo) and request.logprobs is not None
    if scored:
        drawn = msgspec.structs.replace(drawn, prompt_logprobs=True)
        template = msgspec.structs.replace(template, sampling=drawn)
    capabilities.check(template, info)
    requests = tuple(
        sample
        for prompt in prompts
        for sample in sampling.samples(msgspec.structs.replace(template, input=prompt), candidates)
    )
    return Plan(prompts=prompts, n=n, candidates=candidates, requests=requests if max_tokens or scored else ())


def _candidates(request: CompletionRequest, n: int) -> int:
    best_of = n if request.best_of is None else request.best_of
    if best_of < n:
        raise InvalidValue("'best_of' must not be less than 'n'.", param="best_of")
    if request.stream and best_of > n:
        raise InvalidValue("'best_of' cannot be streamed; the best is only known at the end.", param="best_of")
    return best_of


def _prompts(request: CompletionRequest) -> tuple[Prompt | PromptTokens, ...]:
    match request.prompt:
        case None | "" | []:
            raise MissingParameter("Missing required parameter: 'prompt'.", param="prompt")
        case str() as text:
            return (_text(text, request),)
        case [int(), *_] as items:
            ids = tuple(item for item in items if isinstance(item, int))
            if len(ids) != len(items):
                raise InvalidType("'prompt' mixes token ids with other values.", param="prompt")
            return (PromptTokens(ids),)
        case items:
            return tuple(_item(item, index, request) for index, item in enumerate(items))


def _item(item: str | int | list[int], index: int, request: CompletionRequest) -> Prompt | PromptTokens:
    if isinstance(item, int):
        raise InvalidType("'prompt' mixes token ids with other values.", param=f"prompt[{index}]")
    if not item:
        raise InvalidValue("A prompt must not be empty.", param=f"prompt[{index}]")
    return _text(item, request) if isinstance(item, str) else PromptTokens(tuple(item))


def _text(text: str, request: CompletionRequest) -> Prompt:
    return Prompt(text, suffix=request.suffix or None, special=request.add_special_tokens is not False)


__all__ = ("DEFAULT_MAX_TOKENS", "Plan", "completions")

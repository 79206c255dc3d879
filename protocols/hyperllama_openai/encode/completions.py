"""A whole completion, and the choice among several candidates."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import UNSET

from hyperllama import generation as core
from hyperllama_openai.encode import finish, sse
from hyperllama_openai.encode.logprobs import Offsets, finite
from hyperllama_openai.encode.shape import ReplyShape
from hyperllama_openai.encode.usage import total
from hyperllama_openai.wire import completions as wire
from hyperllama_openai.wire.shared import Usage


def completion(
    found: Sequence[core.Completion], shape: ReplyShape, *, echoes: Sequence[str], candidates: int = 1
) -> bytes:
    """Return the JSON of a completion: the best ``shape.n`` of each prompt's ``candidates``. An echo per prompt."""
    logprobs = shape.logprobs
    chosen = [
        (prompt, item)
        for prompt in range(len(echoes))
        for item in best(found[prompt * candidates : (prompt + 1) * candidates], shape.n)
    ]
    choices = []
    for index, (prompt, item) in enumerate(chosen):
        text = item.reasoning + item.text + (item.stop_match or "" if shape.with_stop else "")
        offsets = Offsets(start=0 if item.prompt_logprobs else len(echoes[prompt]), top=bool(logprobs))
        choices.append(
            wire.Choice(
                index=index,
                text=echoes[prompt] + text,
                logprobs=None if logprobs is None else offsets.spell((*item.prompt_logprobs, *item.logprobs)),
                finish_reason=finish.text(item.finish_reason),
                stop_reason=UNSET if item.stop_match is None else item.stop_match,
                token_ids=list(item.token_ids) if shape.token_ids else UNSET,
                prompt_token_ids=list(item.prompt_token_ids) if shape.token_ids else UNSET,
            )
        )
    usage = total([item.usage for item in found], n=candidates)
    return _spell(choices, usage, shape)


def best(candidates: Sequence[core.Completion], n: int) -> Sequence[core.Completion]:
    """Return the ``n`` likeliest per token, likeliest first; all in their order if there are no more than ``n``."""
    if len(candidates) == n:
        return candidates
    return sorted(candidates, key=_likelihood, reverse=True)[:n]


def echoed(prompts: Sequence[tuple[str, int]], shape: ReplyShape) -> bytes:
    """Return the JSON of a completion of no tokens: each prompt, with its length in tokens, as it came."""
    n = shape.n
    choices = [
        wire.Choice(index=prompt * n + sample, text=text, finish_reason="length")
        for prompt, (text, _) in enumerate(prompts)
        for sample in range(n)
    ]
    usages = [core.Usage(prompt_tokens=tokens) for _, tokens in prompts for _ in range(n)]
    return _spell(choices, total(usages, n=n), shape)


def _likelihood(candidate: core.Completion) -> float:
    probs = candidate.logprobs
    return sum(finite(item.logprob) for item in probs) / len(probs) if probs else 0.0


def _spell(choices: list[wire.Choice], usage: Usage, shape: ReplyShape) -> bytes:
    return sse.JSON.encode(
        wire.Completion(
            id=shape.id,
            object="text_completion",
            created=shape.created,
            model=shape.model,
            choices=choices,
            usage=usage,
        )
    )


__all__ = ("best", "completion", "echoed")

"""Token counts: a prompt counts once, however many choices it has; all answers count."""

from __future__ import annotations

from collections.abc import Sequence

from hyperllama.generation import Usage
from hyperllama_openai.wire import shared as wire


def total(usages: Sequence[Usage | None], *, n: int) -> wire.Usage:
    """Return the sum of ``usages`` by choice index, ``n`` choices to a prompt; None counts nothing."""
    found = [(index, usage) for index, usage in enumerate(usages) if usage is not None]
    prompt = sum(usage.prompt_tokens for index, usage in found if index % n == 0)
    completion = sum(usage.completion_tokens for _, usage in found)
    return wire.Usage(
        prompt_tokens=prompt,
        completion_tokens=completion,
        total_tokens=prompt + completion,
        prompt_tokens_details=wire.PromptTokensDetails(
            cached_tokens=sum(usage.cached_tokens for index, usage in found if index % n == 0)
        ),
        completion_tokens_details=wire.CompletionTokensDetails(
            reasoning_tokens=sum(usage.reasoning_tokens for _, usage in found)
        ),
    )


__all__ = ("total",)

"""A request for a summary as one generation: the conversation, then the task."""

from __future__ import annotations

from collections.abc import Sequence

from hyperllama.generation import GenerationRequest
from hyperllama.models import ModelInfo
from hyperllama_openai.decode import responses as decode
from hyperllama_openai.settings import Settings
from hyperllama_openai.wire.responses import CompactRequest, Item, ReasoningOptions, ResponsesRequest

_LONGEST = 4096  # tokens of a summary
_PROMPT = (
    "Summarize this conversation. It continues from your summary and the user's messages alone: answers, tool calls "
    "and their results will be gone. State the goal, what was done, found and decided, the names, values and text "
    "still needed, and what remains. Answer with the summary only."
)


def summarizing(
    request: CompactRequest, context: Sequence[Item], info: ModelInfo, settings: Settings, *, owner: str
) -> GenerationRequest:
    """Return the generation that summarizes ``context``. Raise InvalidRequest."""
    asked = ResponsesRequest(
        model=request.model,
        instructions=request.instructions,
        max_output_tokens=_LONGEST,
        reasoning=ReasoningOptions(effort="none"),
        keep_alive=request.keep_alive,
    )
    prompt = Item(type="message", role="user", content=_PROMPT)
    return decode.responses(asked, [*context, prompt], info, settings, owner=owner)


__all__ = ("summarizing",)

"""The threshold of summarizing a conversation, and the request for it as one generation: the conversation, the task."""

from __future__ import annotations

from collections.abc import Sequence

from hyperllama.generation import GenerationRequest
from hyperllama.models import ModelInfo
from hyperllama_openai.decode import responses as decode
from hyperllama_openai.decode import summaries
from hyperllama_openai.errors import InvalidValue
from hyperllama_openai.settings import Settings
from hyperllama_openai.wire.responses import ConversationFields, Item, ReasoningOptions, ResponsesRequest

_LONGEST = 4096  # tokens of a summary
_FULL = 0.8  # of the context, without a threshold of the caller's
_PROMPT = (
    "Summarize this conversation. It continues from your summary and the user's messages alone: answers, tool calls "
    "and their results will be gone. State the goal, what was done, found and decided, the names, values and text "
    "still needed, and what remains. Answer with the summary only."
)


def summarizing(
    request: ConversationFields, context: Sequence[Item], info: ModelInfo, settings: Settings, *, owner: str
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


def triggered(items: Sequence[Item]) -> bool:
    """Return whether the last item wants a summary in place of an answer."""
    return bool(items) and items[-1].type == "compaction_trigger"


def threshold(request: ResponsesRequest, info: ModelInfo) -> int | None:
    """Return the tokens over which the conversation is to be summarized; None: never. Raise InvalidValue."""
    found = None
    for index, entry in enumerate(request.context_management or ()):
        if entry.type != "compaction":
            param = f"context_management[{index}].type"
            raise InvalidValue(f"Invalid value for '{param}': expected 'compaction'.", param=param)
        found = found or entry.compact_threshold or int(info.context_length * _FULL) or None
    return found


def last_turn(items: Sequence[Item]) -> int:
    """Return the index of the user's messages at the end, which a summary leaves to be answered."""
    index = len(items)
    while index and items[index - 1].type == "message" and items[index - 1].role == "user":
        index -= 1
    return index


def kept(items: Sequence[Item]) -> list[Item]:
    """Return what a summary of ``items`` cannot make shorter."""
    return [
        item for item in items if item.type in summaries.KINDS or (item.type == "message" and item.role != "assistant")
    ]


__all__ = ("kept", "last_turn", "summarizing", "threshold", "triggered")

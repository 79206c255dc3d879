"""Answers in one piece: not streamed, loaded, unloaded, rendered only."""

from __future__ import annotations

from msgspec import UNSET

from hyperllama.generation import Completion
from hyperllama_ollama.encode import pieces, replies
from hyperllama_ollama.encode.text import dumps, now


def generated(model: str, found: Completion, *, context: bool, top: int, created_at: str | None = None) -> bytes:
    ids = [*found.prompt_token_ids, *found.token_ids] if context and found.prompt_token_ids else UNSET
    return dumps(
        replies.Generated(
            model=model,
            created_at=created_at or now(),
            response=found.text,
            thinking=found.reasoning or UNSET,
            done_reason=pieces.reason(found.finish_reason),
            context=ids,
            tool_calls=_calls(found) or UNSET,
            logprobs=pieces.logprobs(found.logprobs, top),
            **pieces.metrics(found.usage, found.timings),
        )
    )


def chatted(model: str, found: Completion, *, top: int, created_at: str | None = None) -> bytes:
    return dumps(
        replies.Chatted(
            model=model,
            created_at=created_at or now(),
            message=replies.Message(
                content=found.text, thinking=found.reasoning or UNSET, tool_calls=_calls(found) or UNSET
            ),
            done_reason=pieces.reason(found.finish_reason),
            logprobs=pieces.logprobs(found.logprobs, top),
            **pieces.metrics(found.usage, found.timings),
        )
    )


def generate_state(model: str, reason: str) -> bytes:
    """Return the answer to a load or an unload: one object, no metrics."""
    return dumps(replies.Generated(model=model, created_at=now(), done_reason=reason))


def chat_state(model: str, reason: str) -> bytes:
    return dumps(replies.Chatted(model=model, created_at=now(), done_reason=reason))


def generate_rendered(model: str, text: str, images: int) -> bytes:
    """Return the prompt that the model would have been given, without running it."""
    info = replies.DebugInfo(rendered_template=text, image_count=images or UNSET)
    return dumps(replies.Generated(model=model, created_at=now(), done=False, debug_info=info))


def chat_rendered(model: str, text: str, images: int) -> bytes:
    info = replies.DebugInfo(rendered_template=text, image_count=images or UNSET)
    return dumps(replies.Chatted(model=model, created_at=now(), done=False, debug_info=info))


def _calls(found: Completion) -> list[replies.ToolCall]:
    calls = found.tool_calls
    cut = pieces.is_cut(found.finish_reason, found.stop_match)
    if cut and calls and not pieces.is_complete(calls[-1].arguments):
        calls = calls[:-1]
    return [pieces.tool_call(index, call.id, call.name, call.arguments) for index, call in enumerate(calls)]


__all__ = ("chat_rendered", "chat_state", "chatted", "generate_rendered", "generate_state", "generated")

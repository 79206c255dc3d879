"""A whole chat completion."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import UNSET

from hyperllama.generation import Completion
from hyperllama.messages import ToolCall
from hyperllama_openai import ids
from hyperllama_openai.encode import finish, logprobs, sse
from hyperllama_openai.encode.freeform import plain
from hyperllama_openai.encode.shape import ReplyShape
from hyperllama_openai.encode.usage import total
from hyperllama_openai.wire import chat as wire


def chat(found: Sequence[Completion], shape: ReplyShape) -> bytes:
    """Return the JSON of a chat completion, a choice for each of ``found``."""
    choices = []
    for index, completion in enumerate(found):
        calls = [_call(call, shape) for call in completion.tool_calls]
        text = completion.text + (completion.stop_match or "" if shape.with_stop else "")
        reasoning = completion.reasoning if shape.show_reasoning and completion.reasoning else UNSET
        choices.append(
            wire.Choice(
                index=index,
                message=wire.MessageOut(
                    role="assistant",
                    content=None if calls and not text else text,
                    reasoning_content=reasoning,
                    reasoning=reasoning,
                    tool_calls=calls or UNSET,
                ),
                logprobs=logprobs.content(completion.logprobs) if shape.logprobs is not None else None,
                finish_reason=finish.chat(completion.finish_reason, called=bool(calls), named=shape.named_finish),
                stop_reason=UNSET if completion.stop_match is None else completion.stop_match,
                token_ids=list(completion.token_ids) if shape.token_ids else UNSET,
            )
        )
    return sse.JSON.encode(
        wire.ChatCompletion(
            id=shape.id,
            object="chat.completion",
            created=shape.created,
            model=shape.model,
            choices=choices,
            usage=total([completion.usage for completion in found], n=len(found)),
            prompt_token_ids=list(found[0].prompt_token_ids) if shape.token_ids else UNSET,
        )
    )


def _call(call: ToolCall, shape: ReplyShape) -> wire.ToolCallOut:
    own = call.id or ids.new("call_")
    if (name := shape.custom.get(call.name)) is not None:
        return wire.ToolCallOut(id=own, type="custom", custom=wire.CustomOut(name=name, input=plain(call.arguments)))
    function = wire.FunctionOut(name=call.name, arguments=call.arguments)
    return wire.ToolCallOut(id=own, type="function", function=function)


__all__ = ("chat",)

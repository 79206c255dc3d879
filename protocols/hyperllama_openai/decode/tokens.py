"""The input to tokenise: a raw prompt, or messages through the model's chat template."""

from __future__ import annotations

from hyperllama.messages import Chat, Input, Prompt
from hyperllama_openai.decode.chat import conversation
from hyperllama_openai.errors import InvalidValue, MissingParameter
from hyperllama_openai.settings import Settings
from hyperllama_openai.wire.models import TokenizeRequest


def tokens(request: TokenizeRequest, settings: Settings) -> Input:
    prompt = request.content if request.prompt is None else request.prompt
    if prompt is not None:
        if request.messages is not None:
            raise InvalidValue("Give either 'prompt' or 'messages', not both.", param="messages")
        return Prompt(prompt, special=request.add_special_tokens is not False)
    if not request.messages:
        raise MissingParameter("Missing required parameter: 'prompt'.", param="prompt")
    found: Chat = conversation(
        request.messages,
        settings,
        continue_final=request.continue_final_message,
        add_prompt=request.add_generation_prompt,
        kwargs=request.chat_template_kwargs,
    )
    return found


__all__ = ("tokens",)

"""Conversations: messages and prompts in the one form that every protocol decodes to."""

from __future__ import annotations

from typing import Any, Literal, TypeAlias

import msgspec

Role: TypeAlias = Literal["system", "user", "assistant", "tool"]


class Text(msgspec.Struct, frozen=True, tag="text"):
    text: str


class Image(msgspec.Struct, frozen=True, tag="image"):
    """An image whose bytes came inline. Never a URL: a protocol that may fetch one does so before this is made."""

    data: bytes


class ToolCall(msgspec.Struct, frozen=True):
    id: str
    name: str
    arguments: str  # JSON text, kept unparsed: one dialect streams it, another parses it once at the end.


Part: TypeAlias = Text | Image


class Message(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    role: Role
    parts: tuple[Part, ...] = ()
    reasoning: str = ""
    tool_calls: tuple[ToolCall, ...] = ()
    tool_call_id: str | None = None  # None: not given
    name: str | None = None  # of the tool that answered, or of the speaker; None: not given

    @property
    def text(self) -> str:
        """The text parts, joined with nothing between them."""
        return "".join(part.text for part in self.parts if isinstance(part, Text))


class Chat(msgspec.Struct, frozen=True, tag="chat", omit_defaults=True):
    """Messages the engine renders with the model's own chat template.

    ``continue_last``: the last message is an assistant's beginning, to be continued rather than answered.
    ``generation_prompt``: the template's beginning of an answer follows the messages; never with ``continue_last``.
    ``template_kwargs``: extra variables of the template (an allow-list of scalars, never code).
    ``opened``: nothing goes before the messages, neither the model's own opening messages nor, again, these.
    """

    messages: tuple[Message, ...]
    continue_last: bool = False
    generation_prompt: bool = True
    template_kwargs: dict[str, Any] = {}
    opened: bool = False


class Prompt(msgspec.Struct, frozen=True, tag="prompt", omit_defaults=True):
    """Text the engine must not template.

    ``suffix`` asks a model that can for the text between prompt and suffix.
    Special-token text in it (``<|begin|>``) is encoded as those tokens, as a caller of a raw completion expects.
    ``special``: what the tokenizer sets around a prompt, a leading BOS above all, is added, as vLLM's
    ``add_special_tokens`` has it.
    """

    text: str
    suffix: str | None = None
    special: bool = True


class PromptTokens(msgspec.Struct, frozen=True, tag="tokens"):
    """A prompt already tokenised by the caller with the model's own tokenizer."""

    ids: tuple[int, ...]


Input: TypeAlias = Chat | Prompt | PromptTokens


def opened(input: Input, opening: tuple[Message, ...]) -> Input:
    """Return ``input`` with the model's ``opening`` messages first, unless it has them or is no conversation."""
    if not opening or not isinstance(input, Chat) or input.opened:
        return input
    return msgspec.structs.replace(input, messages=(*opening, *input.messages), opened=True)


__all__ = (
    "Chat",
    "Image",
    "Input",
    "Message",
    "Part",
    "Prompt",
    "PromptTokens",
    "Role",
    "Text",
    "ToolCall",
    "opened",
)

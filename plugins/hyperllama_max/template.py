"""Messages to prompt text, by the model's own chat template in transformers' sandbox."""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec

from hyperllama.errors import InvalidRequest, UnsupportedFeature
from hyperllama.generation import Effort, ToolSpec
from hyperllama.host import Deadline
from hyperllama.messages import Chat, Image, Message, Text
from hyperllama.turns import arrangements
from hyperllama_max import compat

SECONDS: Final = 5.0  # that a template may take


class Rendered(msgspec.Struct, frozen=True):
    """A prompt in pieces, encoded in turn; in those at odd places special-token text is plain text."""

    pieces: tuple[str, ...]


class ChatTemplate:
    """The chat template of one model, compiled once."""

    def __init__(self, source: str, variables: Mapping[str, Any], special: Sequence[str]) -> None:
        """Take ``variables``, the special tokens of templates (``bos_token``). ``special``: all special-token text."""
        self._template = compat.compile_template(source)
        self._variables = dict(variables)
        self._special = sorted((text for text in special if text), key=len, reverse=True)

    def render(
        self,
        chat: Chat,
        tools: Sequence[ToolSpec],
        *,
        system: str | None,
        reasoning: bool | Effort | None,
        deadline: Deadline | None = None,
    ) -> Rendered:
        """Render the prompt. ``system`` goes before the messages when none of them is a system message.

        Raises InvalidRequest when the template refuses the messages, TimeoutError at the ``deadline``.
        """
        deadline = Deadline(SECONDS, rests=False) if deadline is None else deadline
        messages = chat.messages
        if system is not None and all(message.role != "system" for message in messages):
            messages = (Message(role="system", parts=(Text(system),)), *messages)
        if not messages:
            raise InvalidRequest("There are no messages to answer.", param="messages")
        variables: dict[str, Any] = {
            **self._variables,
            **chat.template_kwargs,
            "tools": [_tool(tool) for tool in tools] or None,
            "documents": None,
            "add_generation_prompt": chat.generation_prompt and not chat.continue_last,
        }
        if reasoning is not None:
            variables["enable_thinking"] = reasoning is not False
            if isinstance(reasoning, str):
                variables["reasoning_effort"] = reasoning
        refused: InvalidRequest | None = None
        for arranged in arrangements(messages):
            try:
                return self._rendered(arranged, variables, chat.continue_last, deadline)
            except _Refused as error:
                refused = refused or InvalidRequest(
                    f"The model's chat template refuses these messages: {error}", param="messages"
                )
        assert refused is not None  # noqa: S101 - there is one arrangement at least
        raise refused

    def _rendered(
        self, messages: Sequence[Message], variables: Mapping[str, Any], continued: bool, deadline: Deadline
    ) -> Rendered:
        import jinja2

        guard = _Guard(self._special)
        found = []
        for message in messages:
            deadline.check()
            found.append(_message(message, guard))
        parts = []
        try:
            for part in self._template.generate(**{**variables, "messages": found}):
                parts.append(part)
                deadline.check()
        except (jinja2.TemplateError, TypeError, ValueError, KeyError, AttributeError, ArithmeticError) as error:
            raise _Refused(str(error)) from error
        text = "".join(parts)
        return Rendered(guard.split(_cut_after(text, found[-1]) if continued else text))


class _Refused(Exception):
    """The template's refusal of one arrangement of the messages."""


class _Guard:
    """The guard against special-token text in messages: it is replaced before rendering and restored as plain text."""

    def __init__(self, special: Sequence[str]) -> None:
        self._special = special
        self._nonce = ""
        self._kept: list[str] = []

    def quote(self, text: str) -> str:
        for special in self._special:
            if special in text:
                if not self._nonce:
                    self._nonce = f"\ue000{secrets.token_hex(8)}"
                text = text.replace(special, f"{self._nonce}:{len(self._kept)}\ue001")
                self._kept.append(special)
        return text

    def split(self, text: str) -> tuple[str, ...]:
        if not self._nonce:
            return (text,)
        first, *rest = text.split(self._nonce)
        pieces = [first]
        for part in rest:
            number, _, after = part.removeprefix(":").partition("\ue001")
            pieces += [self._kept[int(number)], after]
        return tuple(pieces)


def _message(message: Message, guard: _Guard) -> dict[str, Any]:
    if any(isinstance(part, Image) for part in message.parts):
        raise UnsupportedFeature("This model does not take images.", param="messages")
    found: dict[str, Any] = {"role": message.role, "content": guard.quote(message.text)}
    if message.reasoning:
        found["reasoning_content"] = guard.quote(message.reasoning)
    if message.tool_call_id is not None:
        found["tool_call_id"] = message.tool_call_id
    if message.name is not None:
        found["name"] = message.name
    if message.tool_calls:
        found["tool_calls"] = [
            {
                "id": call.id,
                "type": "function",
                "function": {"name": call.name, "arguments": _arguments(call.arguments, guard)},
            }
            for call in message.tool_calls
        ]
    return found


def _arguments(text: str, guard: _Guard) -> Any:
    """Return the arguments as an object, which templates expect; text that is no JSON object stays as it is."""
    try:
        found = msgspec.json.decode(guard.quote(text))
    except (msgspec.DecodeError, RecursionError):
        return text
    return found if isinstance(found, dict) else text


def _tool(tool: ToolSpec) -> dict[str, Any]:
    return {
        "type": "function",
        "function": {"name": tool.name, "description": tool.description, "parameters": tool.parameters},
    }


def _cut_after(text: str, last: Mapping[str, Any]) -> str:
    """Cut the text behind the last message: all that a template puts there would end the turn that is to go on."""
    content = str(last["content"])
    at = text.rfind(content.strip()) if content.strip() else -1
    if at < 0:
        raise InvalidRequest(
            "The chat template does not show the last message, so it cannot be continued.", param="messages"
        )
    return text[: at + len(content.strip())]


__all__ = ("ChatTemplate", "Rendered")

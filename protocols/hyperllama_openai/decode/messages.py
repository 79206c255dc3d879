"""A conversation as its messages: roles, content parts, replayed tool calls."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from hyperllama.errors import UnsupportedFeature
from hyperllama.messages import Message, Part, Role, Text, ToolCall
from hyperllama.models import ModelInfo
from hyperllama.web import MAX_IMAGES, shown_images
from hyperllama_openai.decode.freeform import arguments as spelled_input
from hyperllama_openai.decode.images import image
from hyperllama_openai.decode.inner import inner_object
from hyperllama_openai.errors import InvalidValue, MissingParameter
from hyperllama_openai.wire import chat as wire

_ROLES: dict[str, Role] = {
    "system": "system",
    "developer": "system",
    "user": "user",
    "assistant": "assistant",
    "tool": "tool",
    "function": "tool",
}
_TEXT_PARTS = frozenset({"text", "input_text", "output_text"})


def messages(
    found: Sequence[wire.Message], *, merge_system: bool, info: ModelInfo | None = None
) -> tuple[Message, ...]:
    """Return the messages. ``merge_system``: all system and developer messages become one at the front.

    ``info`` of the model: images in tools' results become a line for one that sees none.
    """
    names: dict[str, str] = {}
    read = tuple(_message(message, f"messages[{index}]", names) for index, message in enumerate(found))
    if sum(message.image_count for message in read) > MAX_IMAGES:
        raise InvalidValue(f"At most {MAX_IMAGES} images are allowed.", param="messages")
    result = tuple(message.value for message in read)
    result = result if info is None else shown_images(result, info)
    return merged(result) if merge_system else result


def merged(found: tuple[Message, ...]) -> tuple[Message, ...]:
    """Merge all system texts into one leading message; most chat templates refuse any other place or a second one."""
    systems = [message for message in found if message.role == "system"]
    if not systems or (len(systems) == 1 and found[0].role == "system"):
        return found
    text = "\n\n".join(message.text for message in systems)
    rest = tuple(message for message in found if message.role != "system")
    return (Message(role="system", parts=(Text(text),)), *rest)


def arguments(value: str | dict[str, object] | None) -> str:
    """Return a replayed call's arguments as the text of a JSON object, which templates parse.

    A model may be cut short or wrong; a client replays that, with the error it got, and the conversation goes on. Such
    text becomes the one member ``arguments``.
    """
    if value is None or value == "":
        return "{}"
    if isinstance(value, dict):
        return msgspec.json.encode(value).decode()
    try:
        inner_object(value)
    except ValueError:
        return msgspec.json.encode({"arguments": value}).decode()
    return value


class _Read(msgspec.Struct, frozen=True):
    value: Message
    image_count: int


def _message(message: wire.Message, param: str, names: dict[str, str]) -> _Read:
    """Read a message. ``names`` of the functions by call id give a tool's answer its name."""
    role = _ROLES.get(message.role)
    if role is None:
        raise InvalidValue(
            f"Invalid value for '{param}.role': expected one of 'system', 'developer', 'user', 'assistant', 'tool'.",
            param=f"{param}.role",
        )
    parts = _parts(message, role, param)
    calls = _calls(message, param) if role == "assistant" else ()
    names.update({call.id: call.name for call in calls})
    if message.content is None and role in ("user", "tool"):
        raise MissingParameter(f"Missing required parameter: '{param}.content'.", param=f"{param}.content")
    value = Message(
        role=role,
        parts=parts,
        reasoning=(message.reasoning_content or message.reasoning or "") if role == "assistant" else "",
        tool_calls=calls,
        tool_call_id=message.tool_call_id if role == "tool" else None,
        name=message.name or (names.get(message.tool_call_id or "") if role == "tool" else None),
    )
    return _Read(value, sum(not isinstance(part, Text) for part in parts))


def _parts(message: wire.Message, role: Role, param: str) -> tuple[Part, ...]:
    content = message.content
    if isinstance(content, str):
        return (Text(content),) if content else ()
    parts = tuple(_part(part, role, f"{param}.content[{index}]") for index, part in enumerate(content or ()))
    if not parts and message.refusal and role == "assistant":
        return (Text(message.refusal),)
    return parts


def _part(part: wire.ContentPart, role: Role, param: str) -> Part:
    if part.type in _TEXT_PARTS:
        if part.text is None:
            raise MissingParameter(f"Missing required parameter: '{param}.text'.", param=f"{param}.text")
        return Text(part.text)
    if part.type == "refusal" and role == "assistant":
        return Text(part.refusal or "")
    if part.type == "image_url":
        if role not in ("user", "tool"):
            raise InvalidValue(
                f"Invalid value for '{param}.type': {role} messages take text only.", param=f"{param}.type"
            )
        if part.image_url is None:
            raise MissingParameter(f"Missing required parameter: '{param}.image_url'.", param=f"{param}.image_url")
        url = part.image_url if isinstance(part.image_url, str) else part.image_url.url
        return image(url, f"{param}.image_url.url")
    if part.type in ("input_audio", "file", "video_url", "audio_url"):
        raise UnsupportedFeature(
            f"Content of type '{part.type}' is not supported by this server.", param=f"{param}.type"
        )
    raise InvalidValue(f"Invalid value for '{param}.type': expected 'text' or 'image_url'.", param=f"{param}.type")


def _calls(message: wire.Message, param: str) -> tuple[ToolCall, ...]:
    calls = []
    for index, call in enumerate(message.tool_calls or ()):
        if call.custom is not None:
            calls.append(ToolCall(call.id or f"call_{index}", call.custom.name, spelled_input(call.custom.input)))
            continue
        where = f"{param}.tool_calls[{index}].function"
        if call.function is None:
            raise MissingParameter(f"Missing required parameter: '{where}'.", param=where)
        text = arguments(call.function.arguments)
        calls.append(ToolCall(call.id or f"call_{index}", call.function.name, text))
    if message.function_call is not None:
        legacy = message.function_call
        calls.append(ToolCall("call_0", legacy.name, arguments(legacy.arguments)))
    return tuple(calls)


__all__ = ("arguments", "merged", "messages")

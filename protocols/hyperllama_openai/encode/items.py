"""The kinds of output item while they grow, and the events each has of its own.

Each gets its ``place`` once. ``begin`` returns the events after ``output_item.added``, ``grow`` one delta event each
time, ``end`` those before ``output_item.done``; ``finished`` returns at any time the item as it stands. A delta event
comes in two pieces, to be joined around its sequence number.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TypeAlias

from msgspec import UNSET

from hyperllama.generation import TokenLogprob
from hyperllama_openai import opaque
from hyperllama_openai.decode.toolbox import Offered
from hyperllama_openai.encode import sse
from hyperllama_openai.encode.client_calls import PREFIXES, client_call
from hyperllama_openai.encode.freeform import Freeform
from hyperllama_openai.encode.logprobs import content as spell_logprobs
from hyperllama_openai.wire import response as wire
from hyperllama_openai.wire.chat import TokenLogprob as WireLogprob

Events: TypeAlias = Iterable[tuple[str, dict[str, object]]]

_ENCODE = sse.JSON.encode
_END = b"}\n\n"


class MessageItem:
    """The model's message."""

    def __init__(self, id: str) -> None:
        self._id = id
        self._text: list[str] = []
        self._probs: list[WireLogprob] = []
        self._begun = False

    def place(self, index: int) -> None:
        self._where: dict[str, object] = {"item_id": self._id, "output_index": index, "content_index": 0}
        self._prefix = _delta("response.output_text.delta")
        self._middle = b"," + _ENCODE(self._where)[1:-1] + b',"delta":'

    def begin(self) -> Events:
        self._begun = True
        yield "response.content_part.added", {**self._where, "part": wire.OutputText(text="")}

    def grow(self, text: str, probs: Sequence[TokenLogprob]) -> tuple[bytes, bytes]:
        self._text.append(text)
        spelled = b"[]"
        if probs:
            found = spell_logprobs(probs).content
            self._probs += found
            spelled = _ENCODE(found)
        return self._prefix, self._middle + _ENCODE(text) + b',"logprobs":' + spelled + _END

    def end(self) -> Events:
        text = "".join(self._text)
        yield "response.output_text.done", {**self._where, "text": text, "logprobs": self._probs}
        yield "response.content_part.done", {**self._where, "part": self._part()}

    def finished(self, status: str) -> wire.OutputItem:
        return wire.OutputMessage(id=self._id, status=status, content=[self._part()] if self._begun else [])

    def _part(self) -> wire.OutputText:
        return wire.OutputText(text="".join(self._text), logprobs=self._probs)


class ReasoningItem:
    """The model's thoughts: as raw text, or as a summary of one part for clients that want summaries."""

    def __init__(self, id: str, *, summary: bool, sealed: bool = False) -> None:
        """Make an empty item; ``sealed``: it ends with its thoughts in a form that the client can hand back."""
        self._id = id
        self._sealed = sealed
        self._summary = summary
        self._text: list[str] = []
        self._name = "response.reasoning_summary_text" if summary else "response.reasoning_text"

    def place(self, index: int) -> None:
        part = "summary_index" if self._summary else "content_index"
        self._where: dict[str, object] = {"item_id": self._id, "output_index": index, part: 0}
        self._prefix = _delta(f"{self._name}.delta")
        self._middle = b"," + _ENCODE(self._where)[1:-1] + b',"delta":'

    def begin(self) -> Events:
        if self._summary:
            yield (
                "response.reasoning_summary_part.added",
                {**self._where, "part": wire.TypedText(type="summary_text", text="")},
            )

    def grow(self, text: str, probs: Sequence[TokenLogprob]) -> tuple[bytes, bytes]:
        self._text.append(text)
        return self._prefix, self._middle + _ENCODE(text) + _END

    def end(self) -> Events:
        text = "".join(self._text)
        yield f"{self._name}.done", {**self._where, "text": text}
        if self._summary:
            part = wire.TypedText(type="summary_text", text=text)
            yield "response.reasoning_summary_part.done", {**self._where, "part": part}

    def finished(self, status: str) -> wire.OutputItem:
        text = "".join(self._text)
        sealed = opaque.seal(text) if self._sealed and status != "in_progress" else None
        if self._summary:
            found = [wire.TypedText(type="summary_text", text=text)] if text else []
            return wire.Reasoning(id=self._id, status=status, summary=found, encrypted_content=sealed)
        content = [wire.TypedText(type="reasoning_text", text=text)] if text else UNSET
        return wire.Reasoning(id=self._id, status=status, summary=[], content=content, encrypted_content=sealed)


class CallItem:
    """A function that the model wants called. Its own id is not the call's: clients answer with ``call_id``."""

    def __init__(self, id: str, *, call_id: str, name: str, namespace: str | None = None) -> None:
        self._id = id
        self._call_id = call_id
        self._name = name
        self._namespace = namespace
        self._arguments: list[str] = []

    def place(self, index: int) -> None:
        self._where: dict[str, object] = {"item_id": self._id, "output_index": index}
        self._prefix = _delta("response.function_call_arguments.delta")
        self._middle = b"," + _ENCODE(self._where)[1:-1] + b',"delta":'

    def begin(self) -> Events:
        return ()

    def grow(self, text: str, probs: Sequence[TokenLogprob]) -> tuple[bytes, bytes]:
        self._arguments.append(text)
        return self._prefix, self._middle + _ENCODE(text) + _END

    def end(self) -> Events:
        fields = {**self._where, "name": self._name, "arguments": "".join(self._arguments)}
        yield "response.function_call_arguments.done", fields

    def finished(self, status: str) -> wire.OutputItem:
        return wire.FunctionCall(
            id=self._id,
            call_id=self._call_id,
            name=self._name,
            namespace=self._namespace or UNSET,
            arguments="".join(self._arguments),
            status=status,
        )


class CustomCallItem:
    """A custom tool that the model wants called: its input is the text that the arguments hold."""

    def __init__(self, id: str, *, call_id: str, name: str, namespace: str | None = None) -> None:
        self._id = id
        self._call_id = call_id
        self._name = name
        self._namespace = namespace
        self._reader = Freeform()
        self._input: list[str] = []

    def place(self, index: int) -> None:
        self._where: dict[str, object] = {"item_id": self._id, "output_index": index}
        self._prefix = _delta("response.custom_tool_call_input.delta")
        self._middle = b"," + _ENCODE(self._where)[1:-1] + b',"delta":'

    def begin(self) -> Events:
        return ()

    def grow(self, text: str, probs: Sequence[TokenLogprob]) -> tuple[bytes, bytes] | None:
        """Return the event for a piece of the arguments; None if it adds nothing to the input."""
        piece = self._reader.feed(text)
        if not piece:
            return None
        self._input.append(piece)
        return self._prefix, self._middle + _ENCODE(piece) + _END

    def end(self) -> Events:
        if rest := self._reader.end():
            self._input.append(rest)
            yield "response.custom_tool_call_input.delta", {**self._where, "delta": rest}
        yield "response.custom_tool_call_input.done", {**self._where, "input": "".join(self._input)}

    def finished(self, status: str) -> wire.OutputItem:
        return wire.CustomToolCall(
            id=self._id,
            call_id=self._call_id,
            name=self._name,
            namespace=self._namespace or UNSET,
            input="".join(self._input),
            status=status,
        )


class ClientCallItem:
    """A call of one of OpenAI's own tools. There are no events for its parts: it is shown when it is whole."""

    def __init__(self, id: str, *, kind: str, call_id: str) -> None:
        self._id = id
        self._kind = kind
        self._call_id = call_id
        self._arguments: list[str] = []

    def place(self, index: int) -> None:
        pass

    def begin(self) -> Events:
        return ()

    def grow(self, text: str, probs: Sequence[TokenLogprob]) -> tuple[bytes, bytes] | None:
        self._arguments.append(text)
        return None

    def end(self) -> Events:
        return ()

    def finished(self, status: str) -> wire.OutputItem:
        text = "".join(self._arguments)
        return client_call(self._kind, text, id=self._id, call_id=self._call_id, status=status)


class CompactionItem:
    """A summary of the conversation, shown in its opaque form when it is whole."""

    def __init__(self, id: str, seal: Callable[[str], str]) -> None:
        self._id = id
        self._seal = seal
        self._text: list[str] = []

    def place(self, index: int) -> None:
        self._where: dict[str, object] = {"item_id": self._id, "output_index": index}

    def begin(self) -> Events:
        yield "response.compaction.compacting", self._where

    def grow(self, text: str, probs: Sequence[TokenLogprob]) -> tuple[bytes, bytes] | None:
        self._text.append(text)
        return None

    def end(self) -> Events:
        return ()

    def finished(self, status: str) -> wire.OutputItem:
        text = "" if status == "in_progress" else "".join(self._text).strip()
        return wire.Compaction(id=self._id, encrypted_content=self._seal(text) if text else "")


OpenItem: TypeAlias = MessageItem | ReasoningItem | CallItem | CustomCallItem | ClientCallItem | CompactionItem
AnyCall: TypeAlias = CallItem | CustomCallItem | ClientCallItem


def call_item(tool: Offered | None, *, name: str, call_id: str, id: Callable[[str], str]) -> AnyCall:
    """Return the item of a call of ``tool``; None: one that was not offered. ``id`` makes an id with a prefix."""
    if tool is None:
        return CallItem(id("fc_"), call_id=call_id, name=name)
    match tool.kind:
        case "function":
            return CallItem(id("fc_"), call_id=call_id, name=tool.name, namespace=tool.namespace)
        case "custom":
            return CustomCallItem(id("ctc_"), call_id=call_id, name=tool.name, namespace=tool.namespace)
    return ClientCallItem(id(PREFIXES[tool.kind]), kind=tool.kind, call_id=call_id)


def _delta(kind: str) -> bytes:
    """Return a delta event up to its sequence number."""
    return b'event: %b\ndata: {"type":"%b","sequence_number":' % (kind.encode(), kind.encode())


__all__ = (
    "CallItem",
    "ClientCallItem",
    "CompactionItem",
    "CustomCallItem",
    "MessageItem",
    "OpenItem",
    "ReasoningItem",
    "call_item",
)

"""Tool calls read by MAX's own parser, for architectures that bring one; all others are read by the gateway's core."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from typing import Any

from hyperllama.generation import ToolCallDelta, ToolSpec


class CallParser:
    """The conversion of one answer's text to text and calls. Text that the parser fails on is passed through."""

    def __init__(self, name: str, tools: Sequence[ToolSpec]) -> None:
        """Take ``name`` in MAX's registry, which its architectures fill when they are loaded."""
        from max.pipelines.lib import tool_parsing

        self._parser: Any = tool_parsing.create(name)
        self._parser.reset()
        self._parser.set_streaming_tool_schemas({tool.name: tool.parameters for tool in tools})
        self._broken = False
        self._named: set[int] = set()
        self.seen = False

    def feed(self, text: str, *, last: bool) -> tuple[str, tuple[ToolCallDelta, ...]]:
        if self._broken or not text:
            return text, ()
        try:
            found = self._parser.parse_delta(text)
        except (ValueError, KeyError, TypeError, IndexError):
            self._broken = True
            return text, ()
        if found is None:  # not within a call
            return text, ()
        shown = "".join(delta.content or "" for delta in found)
        calls = tuple(self._delta(delta) for delta in found if delta.name or delta.arguments)
        self.seen = self.seen or bool(calls)
        return shown, calls

    def _delta(self, delta: Any) -> ToolCallDelta:
        if delta.index in self._named or not delta.name:
            return ToolCallDelta(delta.index, delta.arguments or "")
        self._named.add(delta.index)
        return ToolCallDelta(delta.index, delta.arguments or "", f"call_{secrets.token_hex(12)}", delta.name)


def parser_of(architecture: Any) -> str | None:
    """Return the name of an architecture's parser in MAX's registry; None if it has none."""
    found = getattr(architecture, "tool_parser", None)
    return found if isinstance(found, str) else None


__all__ = ("CallParser", "parser_of")

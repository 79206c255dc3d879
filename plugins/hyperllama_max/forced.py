"""A forced tool call: its text is known except for the arguments, which stream as they come."""

from __future__ import annotations

import json
import secrets
from collections.abc import Sequence

from hyperllama.generation import ToolCallDelta, ToolSpec


class CallFormat:
    """The form in which a family of models writes a call, as its chat template shows it."""

    def __init__(self, template: str) -> None:
        hermes = "<tool_call>" in template
        self._opening = "<tool_call>\n" if hermes else ""
        self._arguments = "arguments" if hermes or '"parameters"' not in template else "parameters"
        self.suffix = "}\n</tool_call>" if hermes else "}"

    def prefix(self, tool: ToolSpec) -> str:
        return f'{self._opening}{{"name": {json.dumps(tool.name, ensure_ascii=False)}, "{self._arguments}": '


class ForcedCall:
    """The conversion of one answer's text to the deltas of its one call."""

    def __init__(self, tools: Sequence[ToolSpec], prefixes: Sequence[str], suffix: str) -> None:
        self._names = dict(zip(prefixes, (tool.name for tool in tools), strict=True))
        self._suffix = suffix
        self._held = ""
        self._begun = False

    def feed(self, text: str, *, complete: bool, last: bool) -> tuple[ToolCallDelta, ...]:
        """Return the deltas of ``text``. ``last``: nothing follows; ``complete``: the call is whole."""
        self._held += text
        deltas: list[ToolCallDelta] = []
        if not self._begun:
            prefix = next((prefix for prefix in self._names if self._held.startswith(prefix)), None)
            if prefix is None:
                return ()
            self._begun = True
            self._held = self._held[len(prefix) :]
            deltas.append(ToolCallDelta(0, "", f"call_{secrets.token_hex(12)}", self._names[prefix]))
        if complete:
            ready, self._held = self._held.removesuffix(self._suffix), ""
        elif last:
            ready, self._held = self._held, ""
        else:
            # The suffix begins like arguments may end: that much is held until it is known which it was.
            keep = len(self._suffix)
            ready, self._held = self._held[:-keep], self._held[-keep:]
        if ready:
            deltas.append(ToolCallDelta(0, ready))
        return tuple(deltas)


__all__ = ("CallFormat", "ForcedCall")

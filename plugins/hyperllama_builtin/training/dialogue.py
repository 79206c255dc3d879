"""A dialogue as the generator makes it: turns, and the tools that were on offer."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any, Literal

__all__ = ("Call", "Dialogue", "Tool", "Turn", "single")

Role = Literal["system", "user", "assistant", "tool"]


@dataclass(frozen=True)
class Call:
    """A tool call, as MAX's ``llama`` parser reads it back from the text."""

    name: str
    arguments: dict[str, Any]

    def text(self) -> str:
        return json.dumps({"name": self.name, "parameters": self.arguments}, ensure_ascii=False)


@dataclass(frozen=True)
class Turn:
    role: Role
    content: str


@dataclass(frozen=True)
class Tool:
    """A tool on offer; ``parameters`` maps names to JSON schemas."""

    name: str
    description: str
    parameters: dict[str, dict[str, Any]]

    def openai(self) -> dict[str, Any]:
        """Return the tool object that an OpenAI client sends."""
        schema = {"type": "object", "properties": self.parameters, "required": list(self.parameters)}
        return {
            "type": "function",
            "function": {"name": self.name, "description": self.description, "parameters": schema},
        }

    def line(self) -> str:
        """Return the line that the chat template writes for this tool."""
        parts = [f"{self.description}: {self.name}"]
        for key, schema in self.parameters.items():
            kind = "|".join(schema["enum"]) if "enum" in schema else schema["type"]
            parts.append(f"{key} {kind}")
        return "; ".join(parts)


@dataclass(frozen=True)
class Dialogue:
    kind: str
    turns: tuple[Turn, ...]
    tools: tuple[Tool, ...] = field(default=())


def single(kind: str, question: str, answer: str, *, tools: tuple[Tool, ...] = ()) -> Dialogue:
    """Return a dialogue of one question and its answer."""
    return Dialogue(kind, (Turn("user", question), Turn("assistant", answer)), tools)

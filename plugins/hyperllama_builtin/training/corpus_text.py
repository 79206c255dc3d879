"""The text of a dialogue as the chat model sees it."""

from __future__ import annotations

from hyperllama_builtin.training.dialogue import Dialogue

__all__ = ("text_of",)


def text_of(dialogue: Dialogue) -> str:
    """Return the text that the chat template makes of a dialogue; a test compares the two."""
    text = "<|begin|>"
    if dialogue.tools:
        text += "<|tools|>" + "\n".join(tool.line() for tool in dialogue.tools) + "<|end|>"
    return text + "".join(f"<|{turn.role}|>{turn.content}<|end|>" for turn in dialogue.turns)

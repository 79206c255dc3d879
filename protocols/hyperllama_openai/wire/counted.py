"""Places of request bodies that ``[body]`` bounds, shared by several requests."""

from __future__ import annotations

from hyperllama.web import Countable

SAMPLING: Countable = {
    "stop": ("stops", "stop_bytes"),
    "logit_bias": "biases",
    "metadata": "choices",
    "guided_choice": "choices",
    "structured_outputs.choice": "choices",
}
MESSAGES: Countable = {
    "messages": "messages",
    "messages.role": "name_bytes",
    "messages.name": "name_bytes",
    "messages.tool_call_id": "name_bytes",
    "messages.content": "parts",
    "messages.content.type": "name_bytes",
    "messages.tool_calls": "tool_calls",
    "messages.tool_calls.id": "name_bytes",
    "messages.tool_calls.function.name": "name_bytes",
    "messages.tool_calls.custom.name": "name_bytes",
    "tools": "tools",
}

__all__ = ("MESSAGES", "SAMPLING")

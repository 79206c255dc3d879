"""The five words that clients accept as the reason why an answer ended."""

from __future__ import annotations

from hyperllama.generation import FinishReason


def chat(reason: FinishReason, *, called: bool, named: str) -> str:
    """Return the reason. ``called``: a tool was called; ``named``: the word for a call forced by name, or empty."""
    match reason:
        case "cancelled":
            return "length"  # cut short: "stop" would pass a fragment off as whole
        case "tool_calls" if not called:
            return "stop"  # agents loop for ever on tool_calls without a call
        case "tool_calls" | "stop" if called:
            return named or "tool_calls"
    return reason


def text(reason: FinishReason) -> str:
    return reason if reason in ("stop", "length", "content_filter") else "length" if reason == "cancelled" else "stop"


__all__ = ("chat", "text")

"""Go's template language, as far as Ollama's prompt templates use it: parsed, and rendered within a budget."""

from __future__ import annotations

from hyperllama_ollama.template.budget import Budget, TooMuchWork
from hyperllama_ollama.template.functions import Value
from hyperllama_ollama.template.parse import parse
from hyperllama_ollama.template.render import render


def is_jinja(text: str) -> bool:
    """Return whether only an engine can render ``text``: Jinja of models has ``{%`` somewhere, Go's never."""
    return "{%" in text


__all__ = ("Budget", "TooMuchWork", "Value", "is_jinja", "parse", "render")

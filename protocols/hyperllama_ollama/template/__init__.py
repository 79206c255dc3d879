"""Go's template language, as far as Ollama's prompt templates use it: parsed, and rendered within bounds."""

from __future__ import annotations

from hyperllama_ollama.template.parse import parse
from hyperllama_ollama.template.render import Value, render

__all__ = ("Value", "parse", "render")

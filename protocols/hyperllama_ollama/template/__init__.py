"""Go's template language, as far as Ollama's prompt templates use it: parsed, and rendered within bounds."""

from __future__ import annotations

from hyperllama_ollama.template.parse import parse
from hyperllama_ollama.template.render import Value, render


def is_jinja(text: str) -> bool:
    """Go's templates have no ``{%``; those of Hugging Face models always do, and only an engine can render them."""
    return "{%" in text


__all__ = ("Value", "is_jinja", "parse", "render")

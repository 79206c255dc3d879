"""``[plugin.ollama]``."""

from __future__ import annotations

from hyperllama.config import Section


class Settings(Section, frozen=True, kw_only=True, forbid_unknown_fields=True):
    version: str = "0.33.2"  # the Ollama release whose API this is; clients look for features by it


__all__ = ("Settings",)

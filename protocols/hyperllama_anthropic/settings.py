"""``[plugin.anthropic]`` of config.toml."""

from __future__ import annotations

from hyperllama.config import Section


class Settings(Section, frozen=True, kw_only=True, forbid_unknown_fields=True):
    strict: bool = False  # refuse request fields that neither Anthropic nor we know


__all__ = ("Settings",)

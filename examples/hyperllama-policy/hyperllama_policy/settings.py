"""``[plugin.policy]``."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from hyperllama.config import Section


class Settings(Section, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The limits and the pass phrase of the organisation."""

    pass_phrase: str = ""  # who sends it as a key may use the models; empty: no such guest
    max_prompt_tokens: Annotated[int, Meta(ge=1)] = 4096  # estimated from the text
    max_answer_tokens: Annotated[int, Meta(ge=1)] = 1024


__all__ = ("Settings",)

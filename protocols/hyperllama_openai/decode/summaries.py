"""Summaries of conversations in their opaque form, made and read again."""

from __future__ import annotations

from hyperllama_openai import opaque
from hyperllama_openai.errors import InvalidEncryptedContent
from hyperllama_openai.wire.responses import Item

#: The types of items that stand for the conversation before them; Codex writes the last two.
KINDS = frozenset({"compaction", "compaction_summary", "context_compaction"})

_READ = "[The conversation up to here was summarized as follows.]\n"


def seal(summary: str, owner: str) -> str:
    """Return the opaque form of a summary, which only ``owner`` may send back."""
    return opaque.seal(summary, _scope(owner))


def read(item: Item, owner: str, param: str) -> str | None:
    """Return the text that stands for an item of ``KINDS``; None for one that another server wrote.

    Raise InvalidEncryptedContent for one of ours that was changed or that another caller got.
    """
    if not opaque.is_sealed(item.encrypted_content):
        return None
    summary = opaque.unseal(item.encrypted_content, _scope(owner))
    if summary is None:
        raise InvalidEncryptedContent(
            f"The encrypted content in '{param}' could not be verified: it was changed, or made for another key.",
            param=f"{param}.encrypted_content",
        )
    return _READ + summary


def _scope(owner: str) -> str:
    return f"compaction {owner}"


__all__ = ("KINDS", "read", "seal")

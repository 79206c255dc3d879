"""Phrasings of questions about each fact: noun phrases for the frames, whole questions; ``{g}`` is the gateway."""

from __future__ import annotations

from hyperllama_builtin.training.tables import table

__all__ = ("QUESTIONS", "TOPICS")

_TABLE = table("questions")
#: Noun phrases that fit "What is ...?".
TOPICS: dict[str, tuple[str, ...]] = {key: tuple(row["topics"]) for key, row in _TABLE.items() if "topics" in row}
QUESTIONS: dict[str, tuple[str, ...]] = {key: tuple(row["questions"]) for key, row in _TABLE.items()}

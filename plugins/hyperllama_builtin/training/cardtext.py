"""``CARD.md``: the card of a built-in model for people, written from the machine's card."""

from __future__ import annotations

from hyperllama_builtin.card import ModelCard

__all__ = ("card_text",)

_ABOUT = {
    "chat": """\
A very small chat model for trying the gateway and for testing it: it answers questions about the gateway,
adds and subtracts numbers up to two digits, extracts fields into JSON, calls tools and tells short stories.
It knows nothing else and says so.
It makes mistakes, cannot reason, reads English only, and is of no use for real work.""",
    "embedding": """\
A very small sentence encoder for trying the gateway's embeddings and for testing them.
It tells short English sentences of the kind it was trained on apart, and is of no use for real search.""",
}
_HOW = """\
Greedy, on phrasings, names and numbers that never occur in training.
Made by `python -m hyperllama_builtin.training.evaluate` against the running gateway."""
_DATA = {
    "chat": """\
Every dialogue was written by the seeded generator in `hyperllama_builtin/training`, from its own templates
and one table of facts; there is no text and there are no weights from elsewhere.""",
    "embedding": """\
Pairs of sentences of one meaning, from the same seeded generator; there is no text and there are no weights
from elsewhere.""",
}


def card_text(card: ModelCard) -> str:
    """Return the card as Markdown, with the evaluation table if there is one."""
    lines = [
        f"# {card.name}",
        "",
        _ABOUT[card.task],
        "",
        "| | |",
        "|---|---|",
        f"| architecture | {card.architecture} |",
        f"| parameters | {card.parameters:,} |",
        f"| context | {card.context:,} tokens |",
        f"| licence | {card.licence} |",
        f"| seed | {card.seed} |",
        f"| trained for | {card.training_minutes:.0f} minutes on 2 CPU cores |",
        "",
        "## Training data",
        "",
        _DATA[card.task],
        "",
        "## Loss",
        "",
        "![training loss over time](curve.svg)",
        "",
        "## Evaluation",
        "",
        _HOW,
        "",
    ]
    if card.note:
        lines[2:2] = [card.note, ""]
    if card.evaluation is None:
        return "\n".join([*lines, "Not evaluated yet.", ""])
    rows = [f"| {row.what} | {row.count} | {row.score:.1%} | {row.wanted:.0%} |" for row in card.evaluation]
    return "\n".join([*lines, "| what | asked | right | at least |", "|---|---|---|---|", *rows, ""])

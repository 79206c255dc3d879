"""The evaluation table, asked of a running gateway over the OpenAI dialect."""

from __future__ import annotations

import argparse
import json
import math
import urllib.request
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import msgspec
from rich.console import Console
from rich.table import Table

from hyperllama_builtin.card import Figure, read_card, write_card
from hyperllama_builtin.models import BUILTIN, CHAT_MODEL, EMBED_MODEL
from hyperllama_builtin.training.cardtext import card_text
from hyperllama_builtin.training.dialogue import Call
from hyperllama_builtin.training.exam import TABLE, Question, chat_exam
from hyperllama_builtin.training.paraphrases import retrieval_pairs

__all__ = ("figures", "main", "table")


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the table. Return 1 if a figure falls short."""
    parser = argparse.ArgumentParser(prog="python -m hyperllama_builtin.training.evaluate", description=__doc__)
    parser.add_argument("--url", default="http://127.0.0.1:11434", help="where the gateway listens")
    parser.add_argument("--key", default="", help="an API key, where the gateway wants one")
    parser.add_argument("--seed", type=int, default=2026, help="the seed of the questions")
    parser.add_argument("--misses", action="store_true", help="show each wrong answer")
    parser.add_argument("--write", action="store_true", help="write the figures into the cards")
    options = parser.parse_args(arguments)
    console = Console()
    rows = figures(_Gateway(options.url, options.key), options.seed, console if options.misses else None)
    console.print(table(rows))
    if options.write:
        _write(rows)
    return 0 if all(row.score >= row.wanted for row in rows) else 1


def figures(gateway: _Gateway, seed: int, misses: Console | None = None) -> list[Figure]:
    """Return the rows of the table, in its order."""
    questions = chat_exam(seed)
    right: dict[str, list[bool]] = {}
    with ThreadPoolExecutor(16) as pool:
        for question, (text, calls) in zip(questions, pool.map(gateway.answer, questions), strict=True):
            good = question.right(text, calls)
            right.setdefault(question.kind, []).append(good)
            if misses is not None and not good:
                said = text or " ".join(call.text() for call in calls)
                misses.print(
                    f"{question.kind}: {question.prompt}\n   said   {said}\n   wanted {question.wanted}", markup=False
                )
    right["retrieval"] = _retrieval(gateway, seed)
    return [
        Figure(what, len(right[kind]), round(sum(right[kind]) / len(right[kind]), 4), wanted)
        for kind, (what, _count, wanted) in TABLE.items()
    ]


def table(rows: Sequence[Figure]) -> Table:
    """Return the figures as a table for the terminal."""
    out = Table("what", "asked", "right", "at least")
    for row in rows:
        colour = "green" if row.score >= row.wanted else "red"
        out.add_row(row.what, str(row.count), f"[{colour}]{row.score:.1%}[/]", f"{row.wanted:.0%}")
    return out


class _Gateway:
    """Blocking calls to the OpenAI dialect of one gateway."""

    def __init__(self, url: str, key: str = "") -> None:
        self.url = url.rstrip("/")
        self.key = key

    def answer(self, question: Question) -> tuple[str, tuple[Call, ...]]:
        reply = self._post("/v1/chat/completions", question.body(CHAT_MODEL))
        message = reply["choices"][0]["message"]
        calls = tuple(
            Call(call["function"]["name"], json.loads(call["function"]["arguments"]))
            for call in message.get("tool_calls") or ()
        )
        return message.get("content") or "", calls

    def embed(self, texts: Sequence[str]) -> list[list[float]]:
        reply = self._post("/v1/embeddings", {"model": EMBED_MODEL, "input": list(texts)})
        return [row["embedding"] for row in reply["data"]]

    def _post(self, path: str, body: dict[str, Any]) -> Any:
        headers = {"Content-Type": "application/json"} | ({"Authorization": f"Bearer {self.key}"} if self.key else {})
        request = urllib.request.Request(self.url + path, json.dumps(body).encode(), headers)  # noqa: S310 - the user's own gateway
        with urllib.request.urlopen(request, timeout=600) as response:  # noqa: S310 - as above
            return json.load(response)


def _retrieval(gateway: _Gateway, seed: int) -> list[bool]:
    pairs = retrieval_pairs(seed, TABLE["retrieval"][1], "test")
    seconds = [_unit(vector) for vector in gateway.embed([second for _, second in pairs])]
    firsts = gateway.embed([first for first, _ in pairs])
    return [
        max(range(len(seconds)), key=lambda other: _dot(vector, seconds[other])) == own
        for own, vector in enumerate(firsts)
    ]


def _dot(a: list[float], b: list[float]) -> float:
    return sum(x * y for x, y in zip(a, b, strict=True))


def _unit(vector: list[float]) -> list[float]:
    norm = math.sqrt(_dot(vector, vector))
    return [value / norm for value in vector]


def _write(rows: Sequence[Figure]) -> None:
    retrieval = TABLE["retrieval"][0]
    for model in BUILTIN:
        mine = tuple(row for row in rows if (row.what == retrieval) == (model.name == EMBED_MODEL))
        card = msgspec.structs.replace(read_card(model.folder), evaluation=mine)
        write_card(model.folder, card)
        (model.folder / "CARD.md").write_text(card_text(card), encoding="utf-8")


if __name__ == "__main__":
    raise SystemExit(main())

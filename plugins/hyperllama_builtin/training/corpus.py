"""Dialogues as token ids, in batches of like length; only what the assistant says is learnt."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice
from random import Random

import torch
from tokenizers import Tokenizer
from torch import Tensor

from hyperllama_builtin.training.corpus_text import text_of
from hyperllama_builtin.training.dialogue import Dialogue
from hyperllama_builtin.training.template import SPECIAL_TOKENS

__all__ = ("batches", "encode", "prompt_ids")

_BEGIN, _END, _PAD, _TOOLS = 0, 1, 2, 3
_IGNORED = -100


def prompt_ids(tokenizer: Tokenizer, dialogue: Dialogue) -> list[int]:
    """A dialogue that waits for the assistant."""
    ids: list[int] = tokenizer.encode(text_of(dialogue) + "<|assistant|>", add_special_tokens=False).ids
    return ids


def encode(tokenizer: Tokenizer, dialogues: Sequence[Dialogue]) -> list[tuple[list[int], list[int]]]:
    """Ids, and the same ids with all but the assistant's tokens ignored."""
    speaker = SPECIAL_TOKENS.index("<|assistant|>")
    rows = []
    for encoding in tokenizer.encode_batch([text_of(item) for item in dialogues], add_special_tokens=False):
        ids: list[int] = encoding.ids
        labels, heard = [], False
        for token in ids:
            labels.append(token if heard else _IGNORED)
            heard = token == speaker or (heard and token != _END)
        rows.append((ids, labels))
    return rows


def batches(
    tokenizer: Tokenizer, source: Iterator[Dialogue], seed: int, *, tokens: int = 1024, longest: int = 1024
) -> Iterator[tuple[Tensor, Tensor]]:
    """Inputs and targets of about ``tokens`` tokens a batch, little of it padding."""
    rng = Random(seed)
    while True:
        rows = [row for row in encode(tokenizer, list(islice(source, 4096))) if len(row[0]) <= longest]
        rows.sort(key=lambda row: len(row[0]) + rng.random() * 4)
        groups: list[list[tuple[list[int], list[int]]]] = [[]]
        for row in rows:
            if groups[-1] and (len(groups[-1]) + 1) * len(row[0]) > tokens:
                groups.append([])
            groups[-1].append(row)
        rng.shuffle(groups)
        for group in groups:
            yield _tensors(group)


def _tensors(rows: list[tuple[list[int], list[int]]]) -> tuple[Tensor, Tensor]:
    width = max(len(ids) for ids, _ in rows)
    ids = torch.full((len(rows), width), _PAD)
    labels = torch.full((len(rows), width), _IGNORED)
    for index, (row, wanted) in enumerate(rows):
        ids[index, : len(row)] = torch.tensor(row)
        labels[index, : len(row)] = torch.tensor(wanted)
    return ids[:, :-1], labels[:, 1:]

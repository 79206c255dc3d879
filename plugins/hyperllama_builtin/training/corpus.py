"""Dialogues as token ids, in batches of few shapes; only what the assistant says is learnt."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from itertools import islice

import torch
from tokenizers import Tokenizer
from torch import Tensor

from hyperllama_builtin.training.corpus_text import text_of
from hyperllama_builtin.training.dialogue import Dialogue
from hyperllama_builtin.training.template import SPECIAL_TOKENS

__all__ = ("IGNORED", "batches", "encode", "prompt_ids")

_END, _PAD = 1, 2
IGNORED = -100


def prompt_ids(tokenizer: Tokenizer, dialogue: Dialogue) -> list[int]:
    """Return the ids of a dialogue that ends where the assistant's turn begins."""
    ids: list[int] = tokenizer.encode(text_of(dialogue) + "<|assistant|>", add_special_tokens=False).ids
    return ids


def encode(tokenizer: Tokenizer, dialogues: Sequence[Dialogue]) -> list[tuple[list[int], list[int]]]:
    """Return the ids, and the same ids with all but the assistant's tokens ignored."""
    speaker = SPECIAL_TOKENS.index("<|assistant|>")
    rows = []
    for encoding in tokenizer.encode_batch([text_of(item) for item in dialogues], add_special_tokens=False):
        ids: list[int] = encoding.ids
        labels, heard = [], False
        for token in ids:
            labels.append(token if heard else IGNORED)
            heard = token == speaker or (heard and token != _END)
        rows.append((ids, labels))
    return rows


def batches(
    tokenizer: Tokenizer, source: Iterator[Dialogue], *, tokens: int = 2048, longest: int = 1024
) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield inputs and targets, about ``tokens`` a batch.

    Rows wait for others of like length, so that there is little padding and there are few shapes: the CPU's
    kernels are made anew for each shape, which costs more than the padding.
    """
    waiting: dict[int, list[tuple[list[int], list[int]]]] = defaultdict(list)
    while True:
        for row in encode(tokenizer, list(islice(source, 512))):
            width = _width(len(row[0]) - 1)
            if width > longest:
                continue
            waiting[width].append(row)
            if len(waiting[width]) == max(1, tokens // width):
                yield _tensors(waiting.pop(width), width)


def _width(length: int) -> int:
    """Return the next of 16, 32, ... 128, 192, ... 512, 768, 1024."""
    step = 16 if length <= 128 else 64 if length <= 512 else 256
    return -(-length // step) * step


def _tensors(rows: list[tuple[list[int], list[int]]], width: int) -> tuple[Tensor, Tensor]:
    ids = torch.full((len(rows), width), _PAD)
    labels = torch.full((len(rows), width), IGNORED)
    for index, (row, wanted) in enumerate(rows):
        ids[index, : len(row) - 1] = torch.tensor(row[:-1])
        labels[index, : len(row) - 1] = torch.tensor(wanted[1:])
    return ids, labels

"""Greedy decoding in torch, for looking at a model while it trains; prompts of one length share a batch."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

import torch
from tokenizers import Tokenizer

from hyperllama_builtin.training.corpus import prompt_ids
from hyperllama_builtin.training.dialogue import Dialogue
from hyperllama_builtin.training.llama import Llama

__all__ = ("answers",)

_END = 1


def answers(model: Llama, tokenizer: Tokenizer, prompts: Sequence[Dialogue], *, limit: int = 96) -> list[str]:
    """Return the model's answer to each prompt."""
    by_length: dict[int, list[tuple[int, list[int]]]] = defaultdict(list)
    for index, prompt in enumerate(prompts):
        ids = prompt_ids(tokenizer, prompt)
        by_length[len(ids)].append((index, ids))
    texts = [""] * len(prompts)
    for rows in by_length.values():
        said = _greedy(model, torch.tensor([ids for _, ids in rows]), limit)
        for (index, _), ids in zip(rows, said, strict=True):
            texts[index] = tokenizer.decode(ids)
    return texts


@torch.inference_mode()  # type: ignore[untyped-decorator]  # torch is an extra, unseen by mypy
def _greedy(model: Llama, ids: torch.Tensor, limit: int) -> list[list[int]]:
    hidden, cache = model(ids)
    start = ids.shape[1]
    rows: list[list[int]] = [[] for _ in range(len(ids))]
    alive = torch.ones(len(ids), dtype=torch.bool)
    for step in range(limit):
        token = model.logits(hidden[:, -1]).argmax(-1)
        alive &= token != _END
        if not alive.any():
            break
        for row, value, lives in zip(rows, token.tolist(), alive.tolist(), strict=True):
            if lives:
                row.append(value)
        positions = torch.full((len(ids), 1), start + step)
        hidden, cache = model(token[:, None], positions=positions, past=cache)
    return rows

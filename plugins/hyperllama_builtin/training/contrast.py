"""Training of the encoder: a sentence must find its paraphrase among all others of the batch."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Sequence
from itertools import islice

import torch
from tokenizers import Tokenizer
from torch import Tensor
from torch.nn import functional
from torch.optim import AdamW

from hyperllama_builtin.training.bert import Bert
from hyperllama_builtin.training.learn import Course

__all__ = ("contrast", "embed", "top_one")


def contrast(
    model: Bert,
    tokenizer: Tokenizer,
    source: Iterator[tuple[str, str, str]],
    *,
    minutes: float,
    batch: int = 192,
    rate: float = 0.002,
    watch: Callable[[Course], None] = lambda course: None,
) -> Course:
    """Train for ``minutes``; the clock decides the place on the cosine schedule."""
    optimizer = AdamW(model.parameters(), lr=rate, betas=(0.9, 0.98), weight_decay=0.01)
    course, start, smooth = Course(), time.monotonic(), 0.0
    while (done := (time.monotonic() - start) / (60 * minutes)) < 1:
        loss = _loss(model, tokenizer, list(islice(source, batch)))
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        scale = min(1.0, (course.steps + 1) / 100) * max(0.02, 0.5 * (1 + math.cos(math.pi * done)))
        optimizer.param_groups[0]["lr"] = rate * scale
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        course.steps += 1
        course.minutes = (time.monotonic() - start) / 60
        smooth = loss.item() if course.steps == 1 else 0.95 * smooth + 0.05 * loss.item()
        if not course.curve or course.minutes - course.curve[-1][0] > minutes / 300:
            course.curve.append((course.minutes, smooth))
        watch(course)
    return course


def embed(model: Bert, tokenizer: Tokenizer, texts: Sequence[str]) -> Tensor:
    """Return one unit vector for each text."""
    rows = [encoding.ids for encoding in tokenizer.encode_batch(list(texts))]
    width = max(map(len, rows))
    ids = torch.tensor([row + [0] * (width - len(row)) for row in rows])
    out: Tensor = model(ids, ids != 0)
    return out


@torch.inference_mode()  # type: ignore[untyped-decorator]  # torch is an extra, unseen by mypy
def top_one(model: Bert, tokenizer: Tokenizer, two: Sequence[tuple[str, str]]) -> float:
    """Return the share of firsts whose nearest second is their own."""
    firsts, seconds = zip(*two, strict=True)
    scores = embed(model, tokenizer, firsts) @ embed(model, tokenizer, seconds).T
    return float((scores.argmax(1) == torch.arange(len(two))).float().mean())


def _loss(model: Bert, tokenizer: Tokenizer, rows: Sequence[tuple[str, str, str]]) -> Tensor:
    """Return the symmetric cross-entropy over cosines; rows of the same meaning do not count as wrong answers."""
    firsts, seconds, _keys = zip(*rows, strict=True)
    scores = embed(model, tokenizer, firsts) @ embed(model, tokenizer, seconds).T / 0.05
    meanings = [key or first for first, _, key in rows]
    same = torch.tensor([[a == b for b in meanings] for a in meanings])
    same.fill_diagonal_(False)
    scores = scores.masked_fill(same, -1e4)
    own = torch.arange(len(rows))
    return (functional.cross_entropy(scores, own) + functional.cross_entropy(scores.T, own)) / 2

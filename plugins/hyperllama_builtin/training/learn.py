"""The one training loop of the chat model: the clock decides where on the schedule it is."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import torch
from torch import Tensor
from torch.nn import functional
from torch.optim import AdamW

from hyperllama_builtin.training.llama import Llama

__all__ = ("Course", "learn")


@dataclass
class Course:
    """What happened while learning."""

    #: (minutes, loss), about one a second at most.
    curve: list[tuple[float, float]] = field(default_factory=list)
    steps: int = 0
    tokens: int = 0
    minutes: float = 0.0


def learn(
    model: Llama,
    source: Iterator[tuple[Tensor, Tensor]],
    *,
    minutes: float,
    rate: float = 0.003,
    begun: float = 0.0,
    watch: Callable[[Course], None] = lambda course: None,
) -> Course:
    """Train for ``minutes`` with a short warm-up and a cosine down to nothing; ``watch`` sees every step.

    ``begun`` enters the cosine part of the way, to go on from weights that have learnt already.
    """
    optimizer = AdamW(model.parameters(), lr=rate, betas=(0.9, 0.98), weight_decay=0.05, fused=True)
    course, start = Course(), time.monotonic()
    smooth = 0.0
    while (done := (time.monotonic() - start) / (60 * minutes)) < 1:
        scale = min(1.0, (course.steps + 1) / 100) * max(
            0.02, 0.5 * (1 + math.cos(math.pi * (begun + (1 - begun) * done)))
        )
        ids, labels = next(source)
        loss = _loss(model, ids, labels)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.param_groups[0]["lr"] = rate * scale
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        course.steps += 1
        course.tokens += ids.numel()
        course.minutes = (time.monotonic() - start) / 60
        smooth = loss.item() if course.steps == 1 else 0.95 * smooth + 0.05 * loss.item()
        if not course.curve or course.minutes - course.curve[-1][0] > minutes / 300:
            course.curve.append((course.minutes, smooth))
        watch(course)
    return course


def _loss(model: Llama, ids: Tensor, labels: Tensor) -> Tensor:
    learnt = labels >= 0
    with torch.autocast("cpu", dtype=torch.bfloat16):
        hidden, _ = model(ids)
        logits = model.logits(hidden[learnt])
    return functional.cross_entropy(logits.float(), labels[learnt])

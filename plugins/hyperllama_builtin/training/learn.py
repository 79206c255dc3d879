"""The one training loop of the chat model: a process a core, and the clock decides where on the schedule it is."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from multiprocessing.synchronize import Barrier

import torch
from torch import Tensor
from torch import multiprocessing as processes
from torch.nn import functional
from torch.optim import AdamW, Muon

from hyperllama_builtin.training.corpus import IGNORED
from hyperllama_builtin.training.llama import Llama

__all__ = ("Course", "Source", "learn")

#: Batches for the worker of a number; pickled on its way there.
Source = Callable[[int], Iterator[tuple[Tensor, Tensor]]]


@dataclass
class Course:
    """The record of a training run."""

    #: (minutes, loss), three hundred or so.
    curve: list[tuple[float, float]] = field(default_factory=list)
    steps: int = 0
    tokens: int = 0
    minutes: float = 0.0
    #: By kind, the share of development questions that were right when somebody last looked.
    marks: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class _Shared:
    """The tensors that the workers share: weights, and by worker the gradients and (loss, tokens, progress)."""

    model: Llama
    gradients: tuple[tuple[Tensor, ...], ...]
    news: Tensor
    barrier: Barrier
    begun: float


def learn(
    model: Llama,
    source: Source,
    *,
    minutes: float,
    workers: int = 2,
    begun: float = 0.0,
    watch: Callable[[Course], None] = lambda course: None,
) -> Course:
    """Train for ``minutes`` with a short warm-up and a straight line down to nothing; ``watch`` sees every step.

    ``begun`` is the share of the line to skip, to continue from weights that are trained already.
    """
    context = processes.get_context("spawn")
    model.share_memory()
    gradients = tuple(
        tuple(torch.zeros_like(weight).share_memory_() for weight in model.parameters()) for _ in range(workers)
    )
    news = torch.zeros(workers, 3, dtype=torch.float64).share_memory_()
    shared = _Shared(model, gradients, news, context.Barrier(workers, timeout=600), begun)
    others = [context.Process(target=_drill, args=(shared, rank, source), daemon=True) for rank in range(1, workers)]
    for other in others:
        other.start()
    shared.barrier.wait()
    course, start, smooth = Course(), time.monotonic(), 0.0

    def clock() -> float:
        return (time.monotonic() - start) / (60 * minutes)

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    for loss, tokens in _steps(shared, 0, source(0), clock):
        course.steps += 1
        course.tokens += tokens
        course.minutes = (time.monotonic() - start) / 60
        smooth = loss if course.steps == 1 else 0.95 * smooth + 0.05 * loss
        if not course.curve or course.minutes - course.curve[-1][0] > minutes / 300:
            course.curve.append((course.minutes, smooth))
        watch(course)
    torch.set_num_threads(threads)
    for other in others:
        other.join()
    return course


def _drill(shared: _Shared, rank: int, source: Source) -> None:
    """Run a worker beside the first, in a session of its own, for schedulers that divide time by session."""
    os.setsid()
    torch.set_num_threads(1)
    shared.barrier.wait()
    for _ in _steps(shared, rank, source(rank), None):
        pass


def _steps(
    shared: _Shared, rank: int, source: Iterator[tuple[Tensor, Tensor]], clock: Callable[[], float] | None
) -> Iterator[tuple[float, int]]:
    """Yield (loss, tokens) over all workers for each step until time is up; the first worker holds the clock.

    Each worker computes the gradient of a batch of its own and then steps with its share of the weights. No thread
    waits for another inside an operation, so that a busy machine costs no more than its share.
    """
    weights = tuple(shared.model.parameters())
    for weight, gradient in zip(weights, shared.gradients[rank], strict=True):
        weight.grad = gradient
    mine = range(rank, len(weights), len(shared.gradients))
    optimizers = _optimizers(shared.model, [weights[index] for index in mine])
    steps = 0
    while True:
        ids, labels = next(source)
        loss = _loss(shared.model, ids, labels)
        loss.backward()
        shared.news[rank] = torch.tensor((loss.item(), ids.numel(), clock() if clock else 0.0))
        shared.barrier.wait()
        done = float(shared.news[0, 2])
        if steps and done >= 1:  # one step at least, so that there is a course to speak of
            return
        for index in mine:
            for other, gradients in enumerate(shared.gradients):
                if other != rank:
                    shared.gradients[rank][index].add_(gradients[index])
        scale = min(1.0, (steps + 1) / 100) * max(0.01, 1 - (shared.begun + (1 - shared.begun) * done))
        for optimizer, rate in optimizers:
            optimizer.param_groups[0]["lr"] = rate * scale
            optimizer.step()
        news = float(shared.news[:, 0].mean()), int(shared.news[:, 1].sum())
        shared.barrier.wait()
        for gradient in shared.gradients[rank]:
            gradient.zero_()
        steps += 1
        yield news


def _optimizers(model: Llama, mine: Sequence[Tensor]) -> list[tuple[torch.optim.Optimizer, float]]:
    """Return the optimizers: Muon for the matrices, AdamW for embedding and norms, each with its full rate.

    Neither depends on the length of a gradient, so that nothing is clipped and sums serve as well as means.
    """
    embedding = model.model["embed_tokens"].weight
    matrices = [weight for weight in mine if weight.dim() == 2 and weight is not embedding]
    others = [weight for weight in mine if weight.dim() != 2 or weight is embedding]
    found: list[tuple[torch.optim.Optimizer, float]] = []
    if matrices:
        found.append((Muon(matrices, lr=0.02, weight_decay=0.01, adjust_lr_fn="original"), 0.02))
    if others:
        found.append((AdamW(others, lr=0.003, betas=(0.9, 0.98), weight_decay=0.01, fused=True), 0.003))
    return found


def _loss(model: Llama, ids: Tensor, labels: Tensor) -> Tensor:
    """Return the loss over the learnt tokens alone, their number padded to keep the number of shapes small."""
    learnt = (labels.flatten() != IGNORED).nonzero().flatten()
    padding = -len(learnt) % 128
    places = functional.pad(learnt, (0, padding))
    wanted = functional.pad(labels.flatten()[learnt], (0, padding), value=IGNORED)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        hidden, _ = model(ids)
        logits = model.logits(hidden.flatten(0, 1)[places])
    return functional.cross_entropy(logits.float(), wanted, ignore_index=IGNORED)

"""``python -m hyperllama_builtin.training``: retrains both models from a seed, on the CPU."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import torch
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from hyperllama_builtin.models import BUILTIN, CHAT_MODEL, EMBED_MODEL
from hyperllama_builtin.training.learn import Course
from hyperllama_builtin.training.run import train_chat, train_embed

_SHARES = {EMBED_MODEL: 0.06, CHAT_MODEL: 0.94}


def main(arguments: Sequence[str] | None = None) -> int:
    """Train the requested models and write them."""
    parser = argparse.ArgumentParser(prog="python -m hyperllama_builtin.training", description=__doc__)
    parser.add_argument("--minutes", type=float, default=58.0, help="for both models together")
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--workers", type=int, default=2, help="as many as there are cores to spare")
    parser.add_argument("--only", choices=tuple(_SHARES), help="train just one of the two")
    parser.add_argument(
        "--resume", action="store_true", help="go on from the weights that are there (new --seed, please)"
    )
    parser.add_argument("--out", type=Path, default=BUILTIN[0].folder.parent, help="the folder of the model folders")
    options = parser.parse_args(arguments)
    torch.set_num_threads(options.workers)
    names = (options.only,) if options.only else tuple(_SHARES)
    whole = sum(_SHARES[name] for name in names)
    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[state]}"), TimeRemainingColumn())
    with Progress(*columns) as progress:
        for name in names:
            minutes = options.minutes * _SHARES[name] / whole
            task = progress.add_task(name, total=minutes, state="")

            def watch(course: Course, task: object = task) -> None:
                marks = "".join(f", {kind} {mark:.0%}" for kind, mark in course.marks.items())
                state = f"step {course.steps}, loss {course.curve[-1][1]:.3f}{marks}"
                progress.update(task, completed=course.minutes, state=state)  # type: ignore[arg-type]  # rich's TaskID

            folder = options.out / name
            if name == EMBED_MODEL:
                train_embed(folder, options.seed, minutes, watch)
            else:
                train_chat(folder, options.seed, minutes, watch, workers=options.workers, resume=options.resume)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())

"""The outcomes of a library's jobs, printed as JSON lines; what all scripts here share. No imports of this project."""

from __future__ import annotations

import asyncio
import inspect
import json
import signal
import sys
from collections.abc import Callable, Mapping
from typing import Any

URL, ENGINE = (*sys.argv[1:3], "", "")[:2]
V1 = f"{URL}/v1"
AGENT, TYPED, SMALL = ("agent", "typed", "small") if ENGINE == "sim" else ("hyperllama-tiny",) * 3
WEATHER = "What is the weather in Oslo?"
EXTRACT = "Extract name and age as JSON: Anna is 31 years old."
PROMPTED = "Anna is 31 years old, as plain JSON."  # answered so by the script, where no schema is enforced
CALLED = "Call Person: Anna is 31 years old."  # a call by the script, where none is forced
SECONDS = 90  # of a job


class Skip(Exception):
    """A job that this engine cannot do."""


def report(client: str, jobs: Mapping[str, Callable[[], Any]]) -> None:
    """Do every job and print its outcome; a job may be a coroutine function."""
    with asyncio.Runner() as runner:  # one loop, since clients are left to be collected
        for job, work in jobs.items():
            outcome, reason = "done", ""
            signal.alarm(SECONDS)
            try:
                if inspect.isawaitable(found := work()):
                    runner.run(_awaited(found))
            except Skip as skip:
                outcome, reason = "skipped", str(skip)
            except Exception as error:  # noqa: BLE001 -- whatever a library raises is the reason
                outcome, reason = "failed", f"{type(error).__name__}: {' '.join(str(error).split())}"[:300]
            signal.alarm(0)
            print(json.dumps({"client": client, "job": job, "outcome": outcome, "reason": reason}), flush=True)


def _late(*_: Any) -> None:
    raise TimeoutError(f"not done within {SECONDS} s")


signal.signal(signal.SIGALRM, _late)


async def _awaited(found: Any) -> Any:
    return await found


__all__ = (
    "AGENT",
    "CALLED",
    "ENGINE",
    "EXTRACT",
    "PROMPTED",
    "SMALL",
    "TYPED",
    "URL",
    "V1",
    "WEATHER",
    "Skip",
    "report",
)

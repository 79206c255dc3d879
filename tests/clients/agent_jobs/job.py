"""A job of a client's, and its outcome."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

Outcome = Literal["done", "failed", "skipped"]
HERE = Path(__file__).parent


@dataclass(frozen=True)
class Result:
    client: str
    job: str
    outcome: Outcome
    reason: str = ""


@dataclass(frozen=True)
class Place:
    """The gateway's address, a folder of the client's own, and what it is installed in."""

    url: str
    folder: Path
    installed: Path  # node_modules, or an interpreter
    engine: str = "sim"

    def home(self, **environ: str) -> dict[str, str]:
        """Return an environment with a home of its own and no proxy, key or setting of this process's."""
        home = self.folder / "home"
        home.mkdir(exist_ok=True)
        kept = {name: os.environ[name] for name in ("PATH", "LANG", "TMPDIR") if name in os.environ}
        return {**kept, "HOME": str(home), "NO_PROXY": "127.0.0.1", "no_proxy": "127.0.0.1", **environ}


class Failed(Exception):
    """A job that was not done."""


@dataclass(frozen=True)
class Unit:
    """Jobs that run one after another in one folder; ``environment`` is what they are installed in."""

    name: str
    environment: str
    jobs: Callable[[Place], Iterator[Result]]
    engines: tuple[str, ...] = ("sim",)
    package: str = ""  # of node; "": all of the table


def run(
    command: Sequence[str], *, env: Mapping[str, str], cwd: Path, seconds: float = 240, statuses: Sequence[int] = (0,)
) -> str:
    """Return the standard output of a command. Raise Failed for another exit status, and past ``seconds``."""
    try:
        done = subprocess.run(
            command, cwd=cwd, env=env, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=seconds
        )
    except subprocess.TimeoutExpired:
        raise Failed(f"not done within {seconds:g} s") from None
    if done.returncode not in statuses:
        raise Failed(f"exit status {done.returncode}: {_telling(done.stdout + done.stderr)}")
    return done.stdout


def attempt(client: str, job: str, work: Callable[[], None]) -> Result:
    """Return the outcome of ``work``, which raises Failed where the job is not done."""
    try:
        work()
    except Failed as failure:
        return Result(client, job, "failed", str(failure))
    return Result(client, job, "done")


def expect(printed: str, *texts: str) -> None:
    """Raise Failed unless every text was printed."""
    for text in texts:
        if text not in printed:
            raise Failed(f"no {text!r} in: {_telling(printed)}")


def reported(printed: str) -> Iterator[Result]:
    """Yield the results that a script in another environment printed, a JSON object a line."""
    for line in printed.splitlines():
        if line.startswith('{"client"'):
            yield Result(**json.loads(line))


def _telling(printed: str) -> str:
    """Return the first line that tells of an error, or else the last ones."""
    lines = [line.strip() for line in printed.splitlines() if line.strip()]
    errors = [line for line in lines if "error" in line.lower() and "websocket" not in line.lower()]
    return (errors[0] if errors else " / ".join(lines[-3:]))[:300]


__all__ = ("HERE", "Failed", "Place", "Result", "Unit", "attempt", "expect", "reported", "run")

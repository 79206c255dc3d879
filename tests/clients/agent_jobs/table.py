"""The outcome of jobs as text: clients down, jobs across, reasons below."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from tests.clients.agent_jobs.job import Result

SIGNS = {"done": "done", "failed": "FAIL", "skipped": "skip"}


def table(results: Sequence[Result]) -> str:
    """Return the table. A job that a client has not is left blank."""
    jobs = list(dict.fromkeys(result.job for result in results))
    clients = list(dict.fromkeys(result.client for result in results))
    cells = {(result.client, result.job): SIGNS[result.outcome] for result in results}
    wide = max(map(len, clients), default=0)
    lines = [f"{number:>3}  {job}" for number, job in enumerate(jobs, 1)]
    lines += ["", f"{'':{wide}}" + "".join(f"{number:>5}" for number in range(1, len(jobs) + 1))]
    for client in clients:
        lines.append(f"{client:{wide}}" + "".join(f"{cells.get((client, job), ''):>5}" for job in jobs).rstrip())
    reasons = [result for result in results if result.reason]
    lines += ["", *(f"{result.client}: {result.job}: {result.outcome}: {_line(result.reason)}" for result in reasons)]
    count = Counter(result.outcome for result in results)
    lines.append(f"{count['done']} done, {count['failed']} failed, {count['skipped']} skipped")
    return "\n".join(lines)


def _line(reason: str) -> str:
    return reason.splitlines()[0] if reason else ""


__all__ = ("table",)

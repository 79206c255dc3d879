"""Run ordinary jobs of agents and their libraries against a gateway, and print a table of jobs and clients.

    python tests/clients/agents.py [--engine sim|max] [--only UNIT ...] [--cache FOLDER] [--json FILE]

The clients live in environments of their own, made on the first run: ``agent_jobs/environments.py`` has the table of
their versions. The sim engine answers by the script in ``agent_jobs/served.py``. The exit status is 1 if a job failed.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

from tests.clients.agent_jobs import claude_code, codex, opencode, runs, vercel
from tests.clients.agent_jobs.environments import NotToBeHad, cache_folder, node_modules, python
from tests.clients.agent_jobs.job import Failed, Place, Result, Unit
from tests.clients.agent_jobs.served import served
from tests.clients.agent_jobs.table import table

COMMANDS = (codex.UNIT, claude_code.UNIT, opencode.UNIT)
UNITS = (*COMMANDS, vercel.UNIT, *runs.UNITS)


def results(units: Sequence[Unit], engine: str, cache: Path, folder: Path) -> Iterator[Result]:
    """Yield the outcome of every job of ``units``, two units at a time, over one gateway."""
    (folder / "gateway").mkdir()
    with served(folder / "gateway", engine) as gateway, ThreadPoolExecutor(2) as pool:
        yield from (
            result
            for found in pool.map(lambda unit: _unit(unit, gateway.url, engine, cache, folder), units)
            for result in found
        )


def _unit(unit: Unit, url: str, engine: str, cache: Path, folder: Path) -> list[Result]:
    try:
        node = unit.environment == "node"
        installed = node_modules(cache, unit.package) if node else python(cache, unit.environment)
    except NotToBeHad as reason:
        return [Result(unit.name, "all", "skipped", str(reason))]
    (folder / unit.name).mkdir()
    found: list[Result] = []
    try:
        for result in unit.jobs(Place(url, folder / unit.name, installed, engine)):
            print(f"{result.outcome:8}{result.client}: {result.job}", file=sys.stderr, flush=True)
            found.append(result)
    except Failed as failure:
        found.append(Result(unit.name, "all", "failed", str(failure)))
    return found or [Result(unit.name, "all", "failed", "no job reported")]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--engine", choices=("sim", "max"), default="sim")
    parser.add_argument("--only", nargs="+", choices=[unit.name for unit in UNITS])
    parser.add_argument("--cache", type=Path, default=cache_folder(), help="where environments are kept")
    parser.add_argument("--json", type=Path, help="file for the results")
    given = parser.parse_args()
    units = [unit for unit in UNITS if given.engine in unit.engines and unit.name in (given.only or unit.name)]
    with tempfile.TemporaryDirectory(prefix="hyperllama-agents-") as folder:
        found = list(results(units, given.engine, given.cache, Path(folder)))
    print(table(found))
    if given.json:
        given.json.write_text(json.dumps([asdict(result) for result in found], indent=1) + "\n")
    return int(any(result.outcome == "failed" for result in found))


if __name__ == "__main__":
    sys.exit(main())

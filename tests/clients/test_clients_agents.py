"""Codex, Claude Code and opencode do their jobs of ``agents.py``; without node or their packages they are skipped."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from hyperllama.testing.running import RunningGateway
from tests.clients.agent_jobs import claude_code, codex, opencode
from tests.clients.agent_jobs.environments import NotToBeHad, cache_folder, node_modules
from tests.clients.agent_jobs.job import Place, Unit
from tests.clients.agent_jobs.served import served
from tests.clients.agent_jobs.table import table

#: Jobs that are not done yet: known faults of the gateway.
OPEN = {
    ("Claude Code", "MCP tool"),
    ("Claude Code", "MCP tool, found by search"),
    ("Claude Code", "PDF"),
    ("Claude Code", "PNG"),
    ("Codex", "MCP tool"),
    ("Codex", "file edit"),
    ("Codex, custom provider", "MCP tool"),
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("agents")


@pytest.fixture(scope="module")
def scripted(folder: Path) -> Iterator[RunningGateway]:
    (folder / "gateway").mkdir()
    with served(folder / "gateway", "sim") as running:
        yield running


@pytest.mark.timeout(1200)  # the first run installs
@pytest.mark.parametrize("unit", [codex.UNIT, claude_code.UNIT, opencode.UNIT], ids=lambda unit: unit.name)
def test_jobs_of_agents(unit: Unit, folder: Path, scripted: RunningGateway) -> None:
    try:
        installed = node_modules(cache_folder(), unit.package)
    except NotToBeHad as reason:
        pytest.skip(str(reason))
    own = folder / unit.name
    own.mkdir()
    found = list(unit.jobs(Place(scripted.url, own, installed)))
    failed = {(result.client, result.job) for result in found if result.outcome == "failed"}
    assert found and failed <= OPEN, table(found)

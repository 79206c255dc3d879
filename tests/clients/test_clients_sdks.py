"""No method of the two SDKs' own resources is absent: ``sdk_suites.py`` with the SDKs of this environment."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tests.clients.agent_jobs.served import served
from tests.clients.sdk_suites import calls, table, worst

pytest.importorskip("anthropic", minversion="1")
pytest.importorskip("openai", minversion="3")


@pytest.mark.timeout(600)
def test_no_method_is_absent(tmp_path: Path) -> None:
    (folder := tmp_path / "gateway").mkdir()
    with served(folder, "sim") as gateway:
        found = calls(gateway.url, Path(sys.executable), tmp_path, "sim")
    assert found
    absent = [call for call in found if call["outcome"] == "absent"]
    assert not absent, table(absent)
    assert {worst([call]) for call in found} >= {"answered"}

"""What the benchmarks leave behind can be read again, by programs and by people."""

from __future__ import annotations

import json
from pathlib import Path

from hyperllama_bench import profile
from hyperllama_bench.report import Plot, Report


def test_a_report_is_written_as_json_and_as_a_page_with_its_plots(tmp_path: Path) -> None:
    report = Report(
        name="two-servers",
        title="Ours <and> theirs",
        settings={"tokens": 100},
        rows=[{"server": "a", "streams": 1, "tokens_per_second": 10.0}],
        summary=[
            {"server": "a", "streams": 1, "tokens_per_second": 10.0},
            {"server": "b", "streams": 1, "tokens_per_second": 5.0},
            {"server": "ratio", "streams": 1},
        ],
        plots=(Plot("Tokens a second", "tokens_per_second", "streams", "server"),),
    )
    data, page = report.write(tmp_path / "results")
    read = json.loads(data.read_text())
    assert read["summary"][1]["tokens_per_second"] == 5.0
    assert read["settings"] == {"tokens": 100}
    assert read["machine"]["cores"] >= 1
    html = page.read_text()
    assert "Ours &lt;and&gt; theirs" in html
    assert html.count("<rect") == 2, "a bar for each server, none for the ratio"
    assert 'height="200.0"' in html
    assert 'height="100.0"' in html


def test_samples_are_shared_out_by_room_and_idle_threads_left_out() -> None:
    loop = "main (hyperllama/cli.py:1);run (uvloop/__init__.py:92)"
    stacks = [
        f"{loop};GuardedProtocol.write_piece (hyperllama/web/guarded.py:149) 5",
        f"{loop};TokenResponse._send (hyperllama/web/answers.py:90) 2",
        f"{loop};Batch._step (hyperllama_sim/batch.py:140) 1",
        f"{loop};chunks (hyperllama_ollama/encode/lines.py:40) 1",
        f"{loop};Future (asyncio/futures.py:3) 1",
        "worker (concurrent/futures/thread.py:81) 90",
    ]
    assert profile.shares(stacks) == [
        ("the write itself", 0.5),
        ("web", 0.2),
        ("sim engine", 0.1),
        ("protocols", 0.1),
        ("event loop, libraries", 0.1),
    ]

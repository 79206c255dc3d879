"""Models are compiled beside the tests that need none, and tests that do need one come last."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from tests.support.paths import ROOT

MODELS = ("hyperllama-tiny", "hyperllama-tiny-embed")
COMPILE = 1200.0  # seconds that a first compilation may take on a small machine


def needs_max(item: pytest.Item) -> bool:
    return item.get_closest_marker("max") is not None


class Warming:
    """The built-in models, each loaded once by a process of its own, so that what they compile to is in the cache."""

    def __init__(self, folder: Path) -> None:
        self._logs = {name: folder / f"{name}.log" for name in MODELS}
        environ = {**os.environ, "HYPERLLAMA_STORE_PATH": str(folder / "store"), "HYPERLLAMA_LOGS_FORMAT": "json"}
        self._processes = {}
        for name, log in self._logs.items():
            command = [
                sys.executable,
                "-m",
                "hyperllama",
                "--config",
                str(ROOT / "config.toml"),
                "models",
                "warm",
                name,
            ]
            with log.open("wb") as sink:
                self._processes[name] = subprocess.Popen(command, stdout=sink, stderr=sink, env=environ)

    def wait(self) -> None:
        """Until both are there."""
        for name, process in self._processes.items():
            assert process.wait(COMPILE) == 0, self._logs[name].read_text("utf-8", errors="replace")

    def stop(self) -> None:
        for process in self._processes.values():
            process.terminate()
            process.wait(60)


WARMING = pytest.StashKey[Warming]()
FOLDER = pytest.StashKey["tempfile.TemporaryDirectory[str]"]()


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=needs_max)
    for item in items:
        if needs_max(item):
            item.add_marker(pytest.mark.timeout(COMPILE + 100), append=False)


def pytest_collection_finish(session: pytest.Session) -> None:
    config = session.config
    if config.option.collectonly or importlib.util.find_spec("max") is None or not any(map(needs_max, session.items)):
        return
    config.stash[FOLDER] = tempfile.TemporaryDirectory(prefix="hyperllama-warm-")
    config.stash[WARMING] = Warming(Path(config.stash[FOLDER].name))


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    if needs_max(item) and WARMING in item.config.stash:
        item.config.stash[WARMING].wait()


def pytest_sessionfinish(session: pytest.Session) -> None:
    if WARMING in session.config.stash:
        session.config.stash[WARMING].stop()
        session.config.stash[FOLDER].cleanup()

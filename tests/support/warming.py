"""Models are compiled beside the tests that need none, once for the run, however many workers it has."""

from __future__ import annotations

import importlib.util
import os
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.support.paths import ROOT
from tests.support.workers import needs_max

MODELS = ("hyperllama-tiny", "hyperllama-tiny-embed")
COMPILE = 1200.0  # seconds that a first compilation may take on a small machine


class Warming:
    """The built-in models, each loaded once by a process of its own, so that what they compile to is in the cache.

    ``folder`` is the run's own; of the workers that name the same one, the first starts the processes.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._processes: list[subprocess.Popen[bytes]] = []
        folder.mkdir(mode=0o700, exist_ok=True)
        try:
            (folder / "started").touch(exist_ok=False)
        except FileExistsError:
            return
        environ = {**os.environ, "HYPERLLAMA_STORE_PATH": str(folder / "store"), "HYPERLLAMA_LOGS_FORMAT": "json"}
        config = str(ROOT / "config.toml")
        for name in MODELS:
            command = [sys.executable, "-m", "hyperllama", "--config", config, "models", "warm", name]
            # The status is left in a file for workers that are no parent of this process.
            script = f"{shlex.join(command)}; status=$?; echo $status > {name}.part; mv {name}.part {name}.status"
            with self._log(name).open("wb") as sink:
                shell = ["sh", "-c", script]
                self._processes.append(
                    subprocess.Popen(shell, cwd=folder, stdout=sink, stderr=sink, env=environ, start_new_session=True)
                )

    def wait(self) -> None:
        """Return when every model is compiled; fail with the log of one that could not be."""
        end = time.monotonic() + COMPILE
        for name in MODELS:
            status = self._folder / f"{name}.status"
            while not status.exists():
                assert time.monotonic() < end, f"{name} is not compiled after {COMPILE:.0f} s"
                time.sleep(0.05)
            assert status.read_text() == "0\n", self._log(name).read_text("utf-8", errors="replace")

    def stop(self, *, wanted: bool) -> None:
        """End what was started here; ``wanted``: another worker may wait for it, so let it end by itself."""
        for process in self._processes:
            if not wanted and process.poll() is None:
                os.killpg(process.pid, signal.SIGTERM)
            process.wait(COMPILE)

    def _log(self, name: str) -> Path:
        return self._folder / f"{name}.log"


WARMING = pytest.StashKey[Warming]()


def pytest_collection_finish(session: pytest.Session) -> None:
    config, items = session.config, [item for item in session.items if needs_max(item)]
    if config.option.collectonly or importlib.util.find_spec("max") is None or not items:
        return
    for item in items:  # the first of them waits
        item.add_marker(pytest.mark.timeout(COMPILE + 100), append=False)
    folder: Path = config._tmp_path_factory.getbasetemp()  # type: ignore[attr-defined]
    config.stash[WARMING] = Warming((folder.parent if _worker() else folder) / "warming")


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    if needs_max(item) and WARMING in item.config.stash:
        item.config.stash[WARMING].wait()


def pytest_sessionfinish(session: pytest.Session) -> None:
    if WARMING in session.config.stash:
        session.config.stash[WARMING].stop(wanted=_worker() and not session.shouldstop)


def _worker() -> bool:
    return "PYTEST_XDIST_WORKER" in os.environ

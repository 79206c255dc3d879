"""What every room's tests share: models are compiled beside the tests that need none, and those that do come last."""

from __future__ import annotations

import asyncio
import getpass
import importlib.util
import os
import pwd
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[1]
MODELS = ("hyperllama-tiny", "hyperllama-tiny-embed")
COMPILE = 1200.0  # seconds that a first compilation may take on a small machine


@pytest.fixture(scope="session")
def loopback_hub() -> Callable[..., AbstractContextManager[Any]]:
    """A Hugging Face Hub of a room's own: what makes one out of repositories' files."""
    spec = importlib.util.spec_from_file_location("loopback_hub", ROOT / "tests" / "store" / "models" / "hub_server.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    found: Callable[..., AbstractContextManager[Any]] = module.loopback_hub
    return found


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


class Bar:
    """What one test measured against the bar in its name; kept for the table of tests/faults."""

    def __init__(self, test: str, *, full: bool) -> None:
        spec = importlib.util.spec_from_file_location("table", ROOT / "tests" / "faults" / "table.py")
        assert spec is not None and spec.loader is not None
        self._table = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(self._table)
        self._test = test
        self._full = full

    def record(self, figure: str, *, rounds: int = 1) -> None:
        self._table.record(self._test, figure, rounds=rounds, full=self._full)

    def within(self, value: float, limit: float) -> None:
        """Times are held to their bars where the counts are full; the default run shares its machine."""
        assert not self._full or value <= limit, f"{value} is over {limit}"


@pytest.fixture
def bar(request: pytest.FixtureRequest) -> Bar:
    return Bar(request.node.originalname, full=request.node.get_closest_marker("nightly") is not None)


@pytest.fixture(scope="session")
def postgres() -> Iterator[str]:
    """URL of an empty server's database; skips where there is none to start."""
    found = shutil.which("initdb") or next(map(str, Path("/usr/lib/postgresql").glob("*/bin/initdb")), None)
    if found is None:
        pytest.skip("PostgreSQL is not installed")
    pytest.importorskip("asyncpg", reason="the extra postgres is not installed")
    user = "postgres" if os.getuid() == 0 else getpass.getuser()
    try:
        owner = pwd.getpwnam(user)
    except KeyError:
        pytest.skip("PostgreSQL does not run as root, and there is no user postgres")
    directory = Path(tempfile.mkdtemp(prefix="hl-pg-"))
    os.chown(directory, owner.pw_uid, owner.pw_gid)
    data, binaries = directory / "data", Path(found).parent
    environment = {"PATH": os.environ["PATH"], "LC_ALL": "C"}
    as_user = {"user": owner.pw_uid, "group": owner.pw_gid} if os.getuid() == 0 else {}
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]

    def run(*command: str) -> None:
        subprocess.run(
            command, check=True, env=environment, cwd=directory, stdout=subprocess.DEVNULL, timeout=60, **as_user
        )

    run(found, "-D", str(data), "-A", "trust", "-U", "gateway", "-E", "UTF8", "--no-sync")
    options = f"-p {port} -c listen_addresses=127.0.0.1 -c unix_socket_directories={directory} -c fsync=off"
    pg_ctl = str(binaries / "pg_ctl")
    run(pg_ctl, "-D", str(data), "-o", options, "-l", str(directory / "log"), "-w", "start")
    try:
        yield f"postgresql://gateway@127.0.0.1:{port}/postgres"
    finally:
        run(pg_ctl, "-D", str(data), "-m", "immediate", "-w", "stop")
        shutil.rmtree(directory)


@pytest.fixture
def empty_postgres(postgres: str, tmp_path: Path) -> Iterator[str]:
    """The same, and empty again afterwards."""
    yield postgres

    async def sweep() -> None:
        from hyperllama.database.database import Database

        database = Database(tmp_path, postgres)
        engine = await database.open()
        async with engine.begin() as connection:
            await connection.exec_driver_sql("DROP SCHEMA public CASCADE")
            await connection.exec_driver_sql("CREATE SCHEMA public")
        await database.close()

    with ThreadPoolExecutor(1) as elsewhere:  # a test's own event loop may be at rest on this thread
        elsewhere.submit(asyncio.run, sweep()).result()

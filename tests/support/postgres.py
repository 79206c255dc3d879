"""A PostgreSQL server of this run's own, where one is installed."""

from __future__ import annotations

import asyncio
import getpass
import os
import pwd
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest


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
    as_user: dict[str, Any] = {"user": owner.pw_uid, "group": owner.pw_gid} if os.getuid() == 0 else {}
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

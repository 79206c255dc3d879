"""Open a database in children that die before their n-th statement that changes something, until one lives.

``kill_migrations.py DIRECTORY URL STRIDE``: n grows by the stride. Each child finds what the one before it left. Prints
the last n.
"""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

from sqlalchemy import Engine, event

from hyperllama.database import schema, sql
from hyperllama.database.database import Database


def child(directory: Path, url: str, at: int) -> None:
    seen = 0

    def statement(_c: object = None, _u: object = None, text: str = "COMMIT", *_: object) -> None:
        nonlocal seen
        seen += not text.lstrip().upper().startswith(("SELECT", "PRAGMA"))
        if seen == at:
            os._exit(9)

    event.listen(Engine, "before_cursor_execute", statement)
    event.listen(Engine, "commit", lambda _: statement())

    async def work() -> None:
        database = Database(directory, url)
        async with database.begin() as connection:
            await connection.exec_driver_sql("SELECT 1")
        await database.close()

    asyncio.run(work())
    os._exit(0)


def main() -> None:
    directory, url, stride = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
    sql.load()
    assert schema
    for at in range(1, 500, stride):
        process = os.fork()
        if process == 0:
            try:
                child(directory, url, at)
            finally:
                os._exit(1)
        code = os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])
        if code == 0:
            print(at)
            return
        if code != 9:
            sys.exit(f"statement {at}: exit code {code}")
    sys.exit("none lived")


main()

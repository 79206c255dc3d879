"""Call every method of OpenAI's and Anthropic's SDKs that this gateway has a business with; print what came of each.

    python tests/clients/sdk_suites.py [--engine sim|max] [--cache FOLDER] [--json FILE]

Resources and methods are found in the installed SDKs, each called by the synchronous and the asynchronous client,
plain, raw and streaming, with the ids of what was made before. A row is a method: ``answered``, ``refused`` with a
sentence in the dialect, or ``absent``: no such route, an answer that is not of the dialect, or a method that
``sdk_calls.py`` has no arguments for. The exit status is 1 if a row is absent.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[2]))

from tests.clients.agent_jobs.environments import NotToBeHad, cache_folder, python
from tests.clients.agent_jobs.job import HERE, Place
from tests.clients.agent_jobs.served import served

ORDER = ("absent", "refused", "answered")


def calls(url: str, interpreter: Path, folder: Path, engine: str) -> list[dict[str, Any]]:
    """Return every call's outcome, as the script in the SDKs' environment printed it."""
    env = Place(url, folder, interpreter, engine).home()
    command = [str(interpreter), str(HERE / "libraries" / "sdk_calls.py"), url, engine]
    done = subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, timeout=900)
    found = [json.loads(line) for line in done.stdout.splitlines() if line.startswith('{"method"')]
    if done.returncode:
        raise SystemExit(f"the calls broke off:\n{done.stderr[-2000:]}")
    return found


def table(found: Sequence[dict[str, Any]]) -> str:
    """Return a row for each method: its worst outcome, its ways, and the sentences of the calls that were refused."""
    rows: dict[str, list[dict[str, Any]]] = {}
    for call in found:
        rows.setdefault(call["method"], []).append(call)
    wide = max(map(len, rows), default=0)
    lines = []
    for method, made in rows.items():
        reasons = dict.fromkeys(f"{call['way']}: {call['reason']}" for call in made if call["outcome"] != "answered")
        lines.append(f"{method:{wide}}  {worst(made):8}  {len(made):>2} ways  {next(iter(reasons), '')}"[:240].rstrip())
    count = Counter(worst(made) for made in rows.values())
    lines.append(", ".join(f"{count[outcome]} {outcome}" for outcome in reversed(ORDER)))
    return "\n".join(lines)


def worst(made: Sequence[dict[str, Any]]) -> str:
    return min((call["outcome"] for call in made), key=ORDER.index)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--engine", choices=("sim", "max"), default="sim")
    parser.add_argument("--cache", type=Path, default=cache_folder(), help="where environments are kept")
    parser.add_argument("--json", type=Path, help="file for the outcome of each call")
    given = parser.parse_args()
    try:
        interpreter = python(given.cache, "sdks")
    except NotToBeHad as reason:
        print(f"skipped: {reason}")
        return 0
    with tempfile.TemporaryDirectory(prefix="hyperllama-sdks-") as name:
        (folder := Path(name) / "gateway").mkdir()
        with served(folder, given.engine) as gateway:
            found = calls(gateway.url, interpreter, Path(name), given.engine)
    print(table(found))
    if given.json:
        given.json.write_text(json.dumps(found, indent=1) + "\n")
    return int(any(call["outcome"] == "absent" for call in found))


if __name__ == "__main__":
    sys.exit(main())

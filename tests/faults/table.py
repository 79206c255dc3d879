"""The bars of reliability and security that the gateway is held to, and the figures last measured against them.

    python tests/faults/table.py            the table
    python tests/faults/table.py --write    and into tests/faults/README.md

Every test of a bar is named ``test_<id>_...`` and records its figure in ``build/faults.json`` when it runs; figures of
the full counts (``pytest -m nightly tests/faults``) stand before those of the default run.
"""

from __future__ import annotations

import ast
import fcntl
import json
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
RESULTS = ROOT / "build" / "faults.json"
README = Path(__file__).with_name("README.md")
BEGIN, END = "<!-- bars: python tests/faults/table.py --write -->", "<!-- /bars -->"

#: Id: what goes wrong, and what must hold.
BARS = {
    "R01": ("a client leaves mid-stream", "aborted within 100 ms (p99), place free within 1 s"),
    "R02": ("a client leaves before its first token, queued or not streaming", "as R01; queued costs 0 prompt tokens"),
    "R03": ("storm of cancels", "clean within 5 s, memory +20 MiB at most, no double abort"),
    "R04": ("an abort hits another request", "0 of 1,000 pairs"),
    "R05": ("engine killed mid-stream", "well-formed error within 500 ms, ready within 5 s, other models unhurt"),
    "R06": ("gateway killed", "no descendant after 2 s"),
    "R07": ("engine hangs", "streams failed within 12 s; a slow prefill is no hang"),
    "R08": ("exception in the stream's path", "one well-formed error, place free within 1 s, 10 retries answered"),
    "R09": ("stalled readers", "256 KiB each at most, cut off, others' gap p99 1.2x at most"),
    "R10": ("overload, 2x the capacity", "goodput 90 % of the peak, refused within 50 ms, normal within 5 s"),
    "R11": ("herd at a cold model", "200 requests, 1 load; a failed one fails all within 1 s, the next tries again"),
    "R12": ("SIGTERM", "not ready at once, streams that fit end whole, exit code 0; a second ends it within 2 s"),
    "R14": ("Redis or the key store is gone", "never unlimited, 250 ms for 3 requests at most; keys fail closed"),
    "R19": ("leaks", "1 KiB a request at most, descriptors within 2, no task or thread"),
    "R20": ("event loop blocked", "lag 100 ms at most; /health within 100 ms"),
    "R33": ("the wall clock jumps an hour", "no lockout, no free quota, no negative duration"),
    "R34": ("out of file descriptors", "CPU under 5 %, 10 log lines a second at most, recovery within 1 s"),
    "R36": ("a noisy neighbour", "each key's share within 10 % of its weight at 2x the capacity"),
    "S01": ("request smuggling", "0 smuggled requests carried out"),
    "S02": ("header and URL bombs", "431 or 414, memory +2 MiB at most"),
    "S03": ("slow heads, bodies, readers, silence", "cut off; others' error rate 0"),
    "S04": ("body and decompression bombs", "413 before a read, 415 for codings, uploads +32 MiB at most"),
    "S05": ("parameter bombs", "400 in 20 ms, the engine never asked"),
    "S06": ("JSON bombs, broken Unicode", "0 answers of 500 or above, no traceback"),
    "S07": ("grammar bombs, slow regular expressions", "refused, 0 engines killed; ours 50 ms at most on 100 KiB"),
    "S08": ("queries of death", "special tokens in text and images kill nothing"),
    "S09": (
        "images by URL: requests from inside",
        "off by default; 60 spellings, sent or redirected to, reach a canary 0 times",
    ),
    "S12": ("routes without authentication", "401, 403, 404 or 405 in every spelling; public are named ones only"),
    "S13": ("open by default", "loopback only; elsewhere refused without keys"),
    "S14": ("management and privilege growth", "each route needs its permission; no key widens itself"),
    "S15": ("key comparison", "Welch t under 4.5; only digests stored"),
    "S16": ("one key, several carriers", "the same verdict; two keys 400; never from the query"),
    "S17": ("secrets in logs, errors, metrics, argv, engines", "0 occurrences"),
    "S18": ("prompts in logs and metrics", "0 occurrences"),
    "S19": ("log injection and flood", "every line is one JSON object, 1 KiB a field, 2 lines a request at most"),
    "S20": ("injection into SSE and NDJSON", "every text comes back exactly"),
    "S21": ("deserialisation, stray ports", "no pickle, eval or exec; no listener beside the configured one"),
    "S22": ("outbound traffic", "0 connections, 0 look-ups"),
    "S24": ("DNS rebinding, cross-site requests", "foreign Host and Origin refused on every method"),
}


def tests() -> dict[str, str]:
    """Names of the tests of bars under ``tests``, and their bars."""
    found = {}
    for path in sorted((ROOT / "tests").rglob("test_*.py")):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and (bar := bar_of(node.name)):
                found[node.name] = bar
    return found


def bar_of(test: str) -> str:
    """The bar that a test's name says it proves; empty: none."""
    bar = test.removeprefix("test_").partition("_")[0].upper()
    return bar if bar in BARS else ""


def record(test: str, figure: str, *, rounds: int, full: bool) -> None:
    """Keep what ``test`` measured."""
    entry = {"figure": figure, "rounds": rounds, "date": datetime.now(UTC).strftime("%Y-%m-%d")}
    RESULTS.parent.mkdir(exist_ok=True)
    with RESULTS.with_suffix(".lock").open("w") as lock:  # several workers record at once
        fcntl.flock(lock, fcntl.LOCK_EX)
        results = _results()
        results.setdefault(test, {})["full" if full else "reduced"] = entry
        RESULTS.write_text(json.dumps(results, indent=1, sort_keys=True), "utf-8")


def rows() -> list[tuple[str, str, str, str, str, str]]:
    """Bar, what, limit, last figure, rounds, date."""
    results, names, kept_rows = _results(), tests(), _written()
    lines = []
    for bar, (what, limit) in BARS.items():
        entries = []
        for name, of in sorted(names.items()):
            if of == bar and (kept := results.get(name)):
                entries.append(kept.get("full") or kept["reduced"])
        figures = "; ".join(dict.fromkeys(entry["figure"] for entry in entries))
        rounds = sum(entry["rounds"] for entry in entries)
        date = max((entry["date"] for entry in entries), default="")
        measured = (figures, f"{rounds:,}", date) if figures else kept_rows.get(bar, ("not run", "0", ""))
        lines.append((bar, what, limit, *measured))
    return lines


def markdown() -> str:
    head = ("bar", "what goes wrong", "what must hold", "last figure", "rounds", "date")
    return "\n".join("| " + " | ".join(row) + " |" for row in (head, ("---",) * len(head), *rows()))


def write() -> None:
    """Put the table between its marks in ``README.md``."""
    text = README.read_text("utf-8")
    before, _, rest = text.partition(BEGIN)
    after = rest.partition(END)[2]
    README.write_text(f"{before}{BEGIN}\n{markdown()}\n{END}{after}", "utf-8")


def _written() -> dict[str, tuple[str, str, str]]:
    """Return what the table in ``README.md`` shows: figure, rounds and date by bar."""
    shown = README.read_text("utf-8").partition(BEGIN)[2].partition(END)[0] if README.exists() else ""
    cells = [line.strip("| ").split(" | ") for line in shown.splitlines() if line.count(" | ") == 5]
    return {row[0]: (row[3], row[4], row[5]) for row in cells}


def _results() -> dict[str, dict[str, dict[str, Any]]]:
    results: dict[str, dict[str, dict[str, Any]]] = json.loads(RESULTS.read_text("utf-8")) if RESULTS.exists() else {}
    return results


if __name__ == "__main__":
    if "--write" in sys.argv[1:]:
        write()
    print(markdown())

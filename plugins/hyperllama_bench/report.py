"""The report of a measurement: rows of figures and the machine, as JSON and as one page of HTML."""

from __future__ import annotations

import datetime as dt
import os
import platform
from collections.abc import Callable, Sequence
from html import escape
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TypeAlias

import msgspec

Say: TypeAlias = Callable[[str], None]
Row: TypeAlias = dict[str, str | int | float]

_COLOURS = ("#2f6f9f", "#c9722e", "#5a9a5a", "#8a6bb0")
_STYLE = """body{font:15px/1.5 system-ui,sans-serif;max-width:1080px;margin:2em auto;padding:0 1em;color:#222}
table{border-collapse:collapse;margin:1em 0}td,th{border:1px solid #ccc;padding:.25em .6em;text-align:right}
td:first-child,th:first-child{text-align:left}figure{display:inline-block;margin:1em 2em 1em 0}
svg text{font-size:12px}"""


class Plot(msgspec.Struct, frozen=True):
    """Bars: one group a value of ``along``, one bar in it a value of ``by``, as high as ``value``."""

    title: str
    value: str
    along: str
    by: str


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """A report: ``rows`` are the single measurements, ``summary`` their results; ``name`` is that of its files."""

    name: str
    title: str
    settings: Row
    rows: list[Row] = []
    summary: list[Row] = []
    plots: tuple[Plot, ...] = ()

    def write(self, folder: Path) -> list[Path]:
        """Write ``<name>.json`` and ``<name>.html`` into ``folder``."""
        folder.mkdir(parents=True, exist_ok=True)
        when = dt.datetime.now(dt.UTC).isoformat(timespec="seconds")
        about = {"title": self.title, "when": when, "machine": machine(), "settings": self.settings}
        data = {**about, "summary": self.summary, "rows": self.rows}
        written = [folder / f"{self.name}.json", folder / f"{self.name}.html"]
        written[0].write_bytes(msgspec.json.format(msgspec.json.encode(data), indent=1) + b"\n")
        written[1].write_text(_page(self, when))
        return written


def machine() -> Row:
    """Return the facts of the machine on which the figures depend."""
    try:
        info = Path("/proc/cpuinfo").read_text("utf-8", errors="replace")
    except OSError:
        info = ""
    models = [line.partition(":")[2].strip() for line in info.splitlines() if line.startswith("model name")]
    facts: Row = {
        "processor": models[0] if models else platform.machine(),
        "cores": len(os.sched_getaffinity(0)),
        "memory_gib": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1),
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
    }
    for package in ("hyperllama-gateway", "max", "uvloop", "uvicorn", "litestar", "msgspec"):
        try:
            facts[package] = version(package)
        except PackageNotFoundError:
            continue
    return facts


def text(rows: Sequence[Row]) -> str:
    """Return ``rows`` as a table for a terminal."""
    columns = list(dict.fromkeys(column for row in rows for column in row))
    cells = [[column.replace("_", " ") for column in columns]]
    cells += [[_shown(row.get(column)) for column in columns] for row in rows]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    lines = ["  ".join(cell.rjust(width) for cell, width in zip(line, widths, strict=True)) for line in cells]
    return "\n".join(lines)


def _page(report: Report, when: str) -> str:
    plots = "".join(_bars(plot, report.summary or report.rows) for plot in report.plots)
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{escape(report.title)}</title>'
        f"<style>{_STYLE}</style><h1>{escape(report.title)}</h1><p>{when}</p>{plots}"
        f"<h2>Result</h2>{_table(report.summary)}<h2>Every measurement</h2>{_table(report.rows)}"
        f"<h2>Settings</h2>{_table([report.settings])}<h2>Machine</h2>{_table([machine()])}</html>\n"
    )


def _table(rows: Sequence[Row]) -> str:
    columns = list(dict.fromkeys(column for row in rows for column in row))
    head = "".join(f"<th>{escape(column.replace('_', ' '))}</th>" for column in columns)
    body = "".join(
        f"<tr>{''.join(f'<td>{escape(_shown(row.get(column)))}</td>' for column in columns)}</tr>" for row in rows
    )
    return f"<table><tr>{head}</tr>{body}</table>"


def _bars(plot: Plot, rows: Sequence[Row]) -> str:
    rows = [row for row in rows if all(key in row for key in (plot.value, plot.along, plot.by))]
    groups = list(dict.fromkeys(row[plot.along] for row in rows))
    series = list(dict.fromkeys(row[plot.by] for row in rows))
    most = max((float(row[plot.value]) for row in rows), default=0.0) or 1.0
    wide, high, step = 26, 200, 26 * len(series) + 20
    parts = []
    for row in rows:
        at, which = groups.index(row[plot.along]), series.index(row[plot.by])
        x, tall = 10 + at * step + which * wide, high * float(row[plot.value]) / most
        parts.append(
            f'<rect x="{x}" y="{high + 20 - tall:.1f}" width="{wide - 3}" height="{tall:.1f}" '
            f'fill="{_COLOURS[which % len(_COLOURS)]}"><title>{escape(_shown(row[plot.value]))}</title></rect>'
            f'<text x="{x}" y="{high + 15 - tall:.1f}">{escape(_shown(row[plot.value]))}</text>'
        )
    parts += [
        f'<text x="{10 + at * step}" y="{high + 36}">{escape(str(group))}</text>' for at, group in enumerate(groups)
    ]
    parts += [
        f'<text x="{10 + at * 130}" y="{high + 56}" fill="{_COLOURS[at % len(_COLOURS)]}">{escape(str(name))}</text>'
        for at, name in enumerate(series)
    ]
    size = f'width="{max(step * len(groups), 130 * len(series)) + 40}" height="{high + 66}"'
    return f"<figure><figcaption>{escape(plot.title)}</figcaption><svg {size}>{''.join(parts)}</svg></figure>"


def _shown(value: str | float | None) -> str:
    match value:
        case None:
            return ""
        case float():
            return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.2f}"
        case _:
            return str(value)


__all__ = ("Plot", "Report", "Row", "Say", "machine", "text")

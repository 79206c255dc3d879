"""The gateway that the jobs run against, and the script of the sim engine's answers."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from hyperllama.testing.running import RunningGateway

PYTHON = os.environ.get("HYPERLLAMA_GATEWAY_PYTHON", sys.executable)
#: Names that the clients take for their vendors' models.
ALIASES = ("gpt-5.5", "gpt-4o", "claude-sonnet-4-5", "claude-haiku-4-5", "claude-opus-4-5")
#: Text that a tool makes and that no prompt contains, so that a tool has run where it is answered.
MADE = "HYPER-42"
SHELL = "echo HYPER-$((6*7))"
PATCH = f"*** Begin Patch\n*** Add File: made.txt\n+{MADE}\n*** End Patch\n"
PERSON = '{"name": "Anna", "age": 31}'

Call = tuple[str, dict[str, Any]]


def rules(folder: Path) -> list[tuple[str, str, tuple[Call, ...]]]:
    """Return (part of the last message, text, calls) of each scripted answer; the first that matches counts."""
    bash = {"command": SHELL, "description": "Prints a word"}
    weather: Call = ("get_weather", {"city": "Oslo"})
    return [
        (MADE, f"The tool made {MADE}.", ()),
        ("It is sunny", "It is sunny in Oslo.", ()),
        ("JOB codex shell", "", (("exec_command", {"cmd": SHELL}),)),
        ("JOB codex patch", "", (("apply_patch", {"input": PATCH}),)),
        ("JOB codex mcp", "", (("mcp__tiny__lookup", {"key": "6x7"}),)),
        ("JOB claude shell", "I run it.", (("Bash", bash),)),
        ("JOB claude mcp", "", (("mcp__many__lookup_129", {"key": "6x7"}),)),
        ("JOB claude pdf", "", (("Read", {"file_path": str(folder / "paper.pdf")}),)),
        ("JOB claude png", "", (("Read", {"file_path": str(folder / "dot.png")}),)),
        ("JOB claude fetch", "", (("WebFetch", {"url": "http://127.0.0.1:9/", "prompt": "Summarise"}),)),
        ("JOB claude search", "", (("WebSearch", {"query": "python"}),)),
        ("JOB opencode shell", "", (("bash", bash),)),
        ("weather in Oslo", "", (weather,)),
        ("as plain JSON", PERSON, ()),
        ("json codeblock", f"```json\n{PERSON}\n```", ()),
        ("Call Person", "", (("Person", {"name": "Anna", "age": 31}),)),
        ("two cities", "I look both up.", (weather, ("get_weather", {"city": "Bergen"}))),
    ]


def config(folder: Path) -> str:
    """Return the configuration of the sim engine: ``agent`` for agents, ``typed`` for schemas, ``small`` for 1,024."""
    script = rules(folder)
    tables = [
        "[server]\nport = 0\n",
        _model("agent", 1_000_000, [*script, ("", "A plain answer.", ())], aliases=ALIASES),
        _model("typed", 200_000, script),
        _model("small", 1024, script),
        '[models.embedder]\nengine = "sim"\n[models.embedder.options]\nembedding = 8\n',
    ]
    return "".join(tables)


@contextmanager
def served(folder: Path, engine: str) -> Iterator[RunningGateway]:
    """Yield a gateway on ``engine`` in ``folder``; on MAX it serves the models that come with the gateway."""
    text = config(folder) if engine == "sim" else "[server]\nport = 0\n"
    running = RunningGateway.launch(folder, text, python=PYTHON)
    try:
        running.wait_listening(60)
        yield running
    finally:
        running.stop()


def _model(name: str, length: int, script: Any, *, aliases: tuple[str, ...] = ()) -> str:
    lines = [f'[models.{name}]\nengine = "sim"\nmax_length = {length}\naliases = {json.dumps(aliases)}\n']
    for when, text, calls in script:
        made = ", ".join(f"{{ name = {json.dumps(tool)}, arguments = {_text(given)} }}" for tool, given in calls)
        lines.append(
            f"[[models.{name}.options.script]]\nwhen = {json.dumps(when)}\ntext = {json.dumps(text)}\n"
            f"tool_calls = [{made}]\n"
        )
    return "".join(lines)


def _text(arguments: dict[str, Any]) -> str:
    return json.dumps(json.dumps(arguments))


__all__ = ("MADE", "PATCH", "SHELL", "config", "rules", "served")

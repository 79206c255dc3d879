"""The clients' environments: made once in a cache folder, from one table of versions."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import tempfile
import venv
from pathlib import Path

#: Ranges of versions, by environment. The packages of ``node`` come from npm, all others from the index of pip.
TABLE: dict[str, dict[str, str]] = {
    "node": {
        "@ai-sdk/anthropic": ">=3 <4",
        "@ai-sdk/openai": ">=3 <4",
        "@ai-sdk/openai-compatible": ">=2 <3",
        "@anthropic-ai/claude-code": ">=2.1.190 <3",
        "@openai/codex": ">=0.170 <1",
        "ai": ">=6 <7",
        "opencode-ai": ">=1.18 <2",
        "zod": ">=4 <5",
    },
    "agents": {"openai-agents": ">=0.6,<1", "pydantic-ai-slim[openai,anthropic]": ">=1,<3"},
    "chains": {
        "anthropic": ">=0.70",
        "instructor": ">=1.12,<2",
        "langchain": ">=1,<2",
        "langchain-anthropic": ">=1,<2",
        "langchain-ollama": ">=1,<2",
        "langchain-openai": ">=1,<2",
        "openai": ">=2",
    },
    "sdks": {"anthropic": ">=1", "openai": ">=3"},
}
SECONDS = 900  # of an installation


class NotToBeHad(Exception):
    """An environment that cannot be made here."""


def cache_folder() -> Path:
    """Return the folder where environments are kept from one run to the next."""
    return Path(os.environ.get("XDG_CACHE_HOME") or tempfile.gettempdir()) / "hyperllama-clients"


def node_modules(cache: Path, needed: str = "") -> Path:
    """Return a ``node_modules`` that holds the table's packages, or ``needed``: one of NODE_PATH, or else a new one.

    Raise NotToBeHad with the reason.
    """
    if shutil.which("node") is None:
        raise NotToBeHad("node is not installed")
    wanted = [needed] if needed else list(TABLE["node"])
    for folder in map(Path, filter(None, os.environ.get("NODE_PATH", "").split(os.pathsep))):
        if all((folder / package).is_dir() for package in wanted):
            return folder
    if shutil.which("npm") is None:
        raise NotToBeHad("npm is not installed")
    folder = _folder(cache, "node")
    if not (folder / "made").exists():
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "package.json").write_text(json.dumps({"private": True, "dependencies": TABLE["node"]}))
        _run(
            ["npm", "install", "--no-package-lock", "--no-audit", "--no-fund", "--loglevel=error"],
            folder,
            "npm install",
        )
        (folder / "made").touch()
    return folder / "node_modules"


def python(cache: Path, name: str) -> Path:
    """Return the interpreter of the environment ``name``. Raise NotToBeHad with the reason."""
    folder = _folder(cache, name)
    found = folder / "bin" / "python"
    if not (folder / "made").exists():
        venv.create(folder, clear=True, with_pip=True)
        packages = [f"{package}{versions}" for package, versions in TABLE[name].items()]
        _run([str(found), "-m", "pip", "install", "-q", "--disable-pip-version-check", *packages], folder, "pip")
        (folder / "made").touch()
    return found


def _folder(cache: Path, name: str) -> Path:
    """Return the folder of an environment; other ranges have another folder."""
    key = hashlib.sha256(json.dumps(TABLE[name], sort_keys=True).encode()).hexdigest()[:12]
    return cache / f"{name}-{key}"


def _run(command: list[str], folder: Path, what: str) -> None:
    try:
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=SECONDS)
    except subprocess.TimeoutExpired:
        raise NotToBeHad(f"{what} took longer than {SECONDS} s") from None
    if done.returncode:
        lines = [line for line in done.stderr.splitlines() if "rror" in line] or ["no reason given"]
        raise NotToBeHad(f"{what}: {lines[0][:160]}")


__all__ = ("TABLE", "NotToBeHad", "cache_folder", "node_modules", "python")

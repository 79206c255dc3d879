"""The official client for Node, every method it has."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

SCRIPT = Path(__file__).with_name("npm_client.mjs")


def _package() -> Path | None:
    """Where ``npm install ollama`` put it: beside NODE_PATH's directories, or globally."""
    places = [Path(place) for place in os.environ.get("NODE_PATH", "").split(os.pathsep) if place]
    if npm := shutil.which("npm"):
        found = subprocess.run([npm, "root", "-g"], capture_output=True, text=True, timeout=60).stdout.strip()
        places += [Path(found)] if found else []
    return next(
        (place / "ollama/dist/index.mjs" for place in places if (place / "ollama/dist/index.mjs").exists()), None
    )


def test_every_method_of_the_npm_client(base_url: str, gateway: Any, store: Any) -> None:
    node, package = shutil.which("node"), _package()
    if node is None or package is None:
        pytest.skip(
            "the ollama package for Node is not installed: npm install -g ollama, or name its folder in NODE_PATH"
        )
    result = subprocess.run([node, SCRIPT, base_url, package], capture_output=True, text=True, timeout=60)
    assert (result.stdout, result.stderr) == ("every method works\n", "")

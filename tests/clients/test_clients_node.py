"""The clients for Node, openai and ollama. ``package.json`` names them; NODE_PATH says where they are installed."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

NODE = shutil.which("node")


@pytest.mark.parametrize("package", ["openai", "ollama"])
def test_ordinary_jobs(gateway: Any, package: str) -> None:
    if NODE is None:
        pytest.skip("node is not installed")
    if subprocess.run([NODE, "-e", f"require.resolve('{package}')"], capture_output=True).returncode:
        pytest.skip(f"the package {package} for node is not to be found in NODE_PATH")
    names = ("url", "v1", "chat", "embed", "question", "weather", "extract", "tool")
    given = {name: getattr(gateway, name) for name in names}
    given["person"] = {**gateway.person.model_json_schema(), "additionalProperties": False}
    done = subprocess.run(
        [NODE, str(Path(__file__).with_name(f"{package}.cjs")), json.dumps(given)],
        capture_output=True,
        text=True,
        timeout=900,
    )
    assert (done.returncode, done.stdout) == (0, "every job is done\n"), done.stderr

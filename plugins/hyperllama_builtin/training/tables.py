"""The tables of phrasings beside this file, as TOML; they are data, and long."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

__all__ = ("table",)


def table(name: str) -> dict[str, Any]:
    """Return ``tables/<name>.toml``."""
    return tomllib.loads((Path(__file__).parent / "tables" / f"{name}.toml").read_text(encoding="utf-8"))

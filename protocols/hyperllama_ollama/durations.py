"""Durations as Go writes them: ``300ms``, ``1h30m``; texts of refusal are those of Go's ``time.ParseDuration``."""

from __future__ import annotations

import json
import math
import re

_UNITS = {"ns": 1e-9, "us": 1e-6, "\u00b5s": 1e-6, "\u03bcs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}
_PART = re.compile(r"(\d*(?:\.\d*)?)([^\d.]*)")


def parse(text: str) -> float:
    """Return seconds, negative for negative durations. Raise ValueError with Go's sentence."""
    quoted = json.dumps(text, ensure_ascii=False)
    sign, rest = (-1.0, text[1:]) if text.startswith("-") else (1.0, text.removeprefix("+"))
    if rest == "0":
        return 0.0
    total, seen = 0.0, 0
    while seen < len(rest):
        part = _PART.match(rest, seen)
        if part is None or part.group(1) in ("", "."):
            raise ValueError(f"time: invalid duration {quoted}")
        number, unit = part.groups()
        if not unit:
            raise ValueError(f"time: missing unit in duration {quoted}")
        if unit not in _UNITS:
            raise ValueError(f"time: unknown unit {json.dumps(unit, ensure_ascii=False)} in duration {quoted}")
        total += float(number) * _UNITS[unit]
        seen = part.end()
    if not rest:
        raise ValueError(f"time: invalid duration {quoted}")
    return sign * total


def keep_alive(value: float | str) -> float:
    """Return the seconds to keep a model; ``inf``, for ever, for any negative number or duration.

    Raises ValueError with Go's sentence for a string that is no duration.
    """
    seconds = parse(value) if isinstance(value, str) else float(value)
    return math.inf if seconds < 0 else seconds


__all__ = ("keep_alive", "parse")

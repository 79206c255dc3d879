"""The one notation for a time: seconds as a number, or ``"30d"``, ``"1h30m"``, ``"500ms"``; negative: for ever."""

from __future__ import annotations

import math
import re
from typing import Annotated, TypeAlias

import msgspec

_UNITS = {
    "ns": 1e-9,
    "us": 1e-6,
    "\u00b5s": 1e-6,  # the micro sign, and the Greek letter that looks the same
    "\u03bcs": 1e-6,
    "ms": 1e-3,
    "s": 1.0,
    "m": 60.0,
    "h": 3_600.0,
    "d": 86_400.0,
}
_NUMBER = r"(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)"
_PART = re.compile(rf"({_NUMBER})(ns|us|\u00b5s|\u03bcs|ms|s|m|h|d)")
_PLAIN = re.compile(_NUMBER)
_LONGEST = 64  # characters

_WRITTEN = {"format": "duration"}  # read by json_schema
#: A field of seconds, zero or more. A file may write a number or a duration.
Seconds: TypeAlias = Annotated[float, msgspec.Meta(ge=0, extra={"duration": True}, extra_json_schema=_WRITTEN)]
#: A field of seconds that may not be none at all.
Timeout: TypeAlias = Annotated[float, msgspec.Meta(ge=0.1, extra={"duration": True}, extra_json_schema=_WRITTEN)]
#: A field of seconds, or ``inf`` for ever. A file may write a number or a duration; negative: for ever.
Lifetime: TypeAlias = Annotated[
    float, msgspec.Meta(ge=0, extra={"duration": True, "forever": True}, extra_json_schema=_WRITTEN)
]


def parse_duration(value: float | str) -> float:
    """Return the seconds that ``value`` means; ``inf``, for ever, when it is negative.

    A number is seconds. A text is a number of seconds too, or numbers each with a unit (``d``, ``h``, ``m``, ``s``,
    ``ms``, ``us``, ``ns``), with an optional sign before the first. Raises ValueError with a sentence.
    """
    if not isinstance(value, str):
        try:
            seconds = float(value)
        except OverflowError as error:
            raise ValueError("The number is too large for a time.") from error
        if math.isnan(seconds):
            raise ValueError("A duration must be a number.")
        return math.inf if seconds < 0 else seconds
    text = value.strip()
    negative, rest = text.startswith("-"), text.removeprefix("-") if text.startswith("-") else text.removeprefix("+")
    if not 0 < len(rest) <= _LONGEST:
        raise ValueError(_refusal(value))
    if _PLAIN.fullmatch(rest):
        return math.inf if negative and float(rest) else float(rest)
    total, seen = 0.0, 0
    while seen < len(rest):
        part = _PART.match(rest, seen)
        if part is None:
            raise ValueError(_refusal(value))
        total += float(part.group(1)) * _UNITS[part.group(2)]
        seen = part.end()
    return math.inf if negative and total else total


def _refusal(text: str) -> str:
    shown = text if len(text) <= _LONGEST else text[:_LONGEST] + "..."
    return f'{shown!r} is not a duration. Write seconds (300), or "30d", "1h30m", "500ms"; negative for ever.'


__all__ = ("Lifetime", "Seconds", "Timeout", "parse_duration")

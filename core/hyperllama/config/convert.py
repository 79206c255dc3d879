"""One table of TOML as a type, or one clear sentence about the key at fault."""

from __future__ import annotations

import difflib
import math
import re
from collections.abc import Mapping
from functools import cache
from typing import Any, Literal, TypeVar, get_args, get_origin, get_type_hints

import msgspec

from hyperllama.config.durations import parse_duration
from hyperllama.errors import ConfigError

T = TypeVar("T", bound=msgspec.Struct)
Path = tuple[str, ...]

LONGEST = 1e11  # seconds; what is longer is not a time that somebody meant

_RANGES = {">=": "at least", ">": "above", "<=": "at most", "<": "below"}


def convert(value: object, type_: type[T], where: str, *, at: Path = ()) -> T:
    """Return ``value``, as TOML gives it, as a ``type_``: durations are seconds, and ranges hold.

    ``at`` is the path of ``value`` in the file and ``where`` the file, for messages; empty: it is not named.
    Raises ConfigError.
    """
    try:
        converted: T = _convert(_read(value, type_, at), type_, at)
    except _Refused as error:
        raise ConfigError(f"{where}: {error}" if where else str(error)) from error
    return converted


class _Refused(Exception):
    """A sentence about one key."""

    def __init__(self, at: Path, sentence: str) -> None:
        place = ".".join(at)
        if sentence.startswith("Unknown key") and place:
            place = f"[{place}]"  # what is at fault is in this table
        super().__init__(f"{place}: {sentence}" if place else sentence)


def _read(value: Any, hint: Any, at: Path) -> Any:
    """Return ``value`` with durations as seconds. Raises _Refused for a number that is none."""
    inner, meta = _bare(hint)
    if (meta.extra or {}).get("duration") and isinstance(value, str | int | float) and not isinstance(value, bool):
        return _seconds(value, at, forever=bool((meta.extra or {}).get("forever")))
    if isinstance(value, float) and not math.isfinite(value):
        raise _Refused(at, "Must be a number: neither nan nor inf.")
    if isinstance(value, dict):
        known = fields(inner)
        rest = get_args(inner)[-1] if get_origin(inner) is dict else Any
        return {key: _read(item, known.get(key, rest), (*at, str(key))) for key, item in value.items()}
    if isinstance(value, list | tuple):
        rest = get_args(inner)[0] if get_origin(inner) in (tuple, list) else Any
        return [_read(item, rest, at) for item in value]
    return value


def _seconds(value: float | str, at: Path, *, forever: bool) -> float:
    try:
        seconds = parse_duration(value)
    except ValueError as error:
        raise _Refused(at, str(error)) from error
    if isinstance(value, float) and math.isinf(value):
        raise _Refused(at, "Must be a number: neither nan nor inf.")
    if math.isinf(seconds) and not forever:
        raise _Refused(at, "Must not be negative.")
    if seconds > LONGEST and not math.isinf(seconds):
        raise _Refused(at, f"{value!r} is too long a time.")
    return seconds


def _convert(value: Any, type_: Any, at: Path) -> Any:
    try:
        return msgspec.convert(value, type_)
    except msgspec.ValidationError as error:
        text, _, path = str(error).partition(" - at ")
        steps, hint, here = list[str](), type_, value
        for step in re.findall(r"\.[\w-]+|\[[^][]*\]", path):
            hint, _ = _bare(hint)
            if step == "[...]" and isinstance(here, Mapping):  # msgspec names no keys of a mapping: ask for each
                inner = get_args(hint)[-1]
                for key, item in here.items():
                    _convert(item, inner, (*at, *steps, str(key)))
            name = step.strip(".[]")
            steps.append(name)
            hint, here = _step(hint, here, name)
        raise _Refused((*at, *steps), _explain(text, hint, here)) from error


def _step(hint: Any, here: Any, name: str) -> tuple[Any, Any]:
    if name.isdigit() and isinstance(here, list | tuple):
        return (get_args(hint) or (Any,))[0], here[int(name)] if int(name) < len(here) else None
    return fields(hint).get(name, Any), here.get(name) if isinstance(here, Mapping) else None


def _explain(text: str, hint: Any, value: Any) -> str:
    """Return msgspec's sentence in our words, with the nearest known key."""
    inner, meta = _bare(hint)
    unknown = re.search(r"unknown field `([^`]*)`", text)
    if unknown is not None:
        known = sorted(fields(inner))
        near = difflib.get_close_matches(unknown.group(1), known, 1)
        advice = f"did you mean {near[0]!r}?" if near else f"known keys are {', '.join(known)}."
        return f"Unknown key {unknown.group(1)!r}; {advice}"
    bound = re.search(r"(?:`\w+`|length) (>=|>|<=|<) (\S+)$", text)
    if bound is not None:
        number = float(bound.group(2))
        found = f", not {value!r}" if isinstance(value, int | float) else ""
        return f"Must be {_RANGES[bound.group(1)]} {number:.10g}{found}."
    if "Invalid enum value" in text and get_origin(inner) is Literal:
        return f"Must be one of {', '.join(map(str, get_args(inner)))}, not {value!r}."
    if "matching regex" in text and meta.description:
        return f"Must be {meta.description}."
    missing = re.search(r"missing required field `([^`]*)`", text)
    return f"The key {missing.group(1)!r} is missing." if missing is not None else f"{text}."


@cache
def _bare(hint: Any) -> tuple[Any, msgspec.Meta]:
    """Return ``hint`` without Annotated and ``| None``, and what was annotated."""
    metas = [item for item in getattr(hint, "__metadata__", ()) if isinstance(item, msgspec.Meta)]
    if metas:
        inner, _ = _bare(hint.__origin__)
        return inner, metas[-1]
    options = [arg for arg in get_args(hint) if arg is not type(None)]
    if len(options) == 1 and type(None) in get_args(hint):
        return _bare(options[0])
    return hint, msgspec.Meta()


@cache
def fields(hint: Any) -> dict[str, Any]:
    """Return the type of each field of a Struct, annotations kept; nothing for another type."""
    if not (isinstance(hint, type) and issubclass(hint, msgspec.Struct)):
        return {}
    return get_type_hints(hint, include_extras=True)


__all__ = ("convert", "fields")

"""One table of TOML as a type, or one clear sentence about the key at fault."""

from __future__ import annotations

import difflib
import re
from typing import Any, TypeVar, get_args, get_type_hints

import msgspec

from hyperllama.errors import ConfigError

T = TypeVar("T", bound=msgspec.Struct)


def convert(value: object, type_: type[T], where: str, *, at: tuple[str, ...] = ()) -> T:
    try:
        return msgspec.convert(value, type_)
    except msgspec.ValidationError as error:
        raise ConfigError(f"{where}: {_explain(str(error), type_, at)}") from error


def _explain(text: str, type_: type[msgspec.Struct], at: tuple[str, ...]) -> str:
    """msgspec's sentence with the TOML path in place of its own, and the nearest known key."""
    path = re.search(r" - at `([^`]*)`", text)
    text = text[: path.start()] if path else text
    steps = [step.strip("[]") for step in re.findall(r"\.[\w-]+|\[[^\]]*\]", path.group(1) if path else "")]
    steps = [step.lstrip(".") for step in steps]
    known = _fields(type_, steps)
    steps = [*at, *steps]
    unknown = re.search(r"unknown field `([^`]*)`", text)
    if unknown is None:
        return f"{'.'.join(steps)}: {text}" if steps else text
    near = difflib.get_close_matches(unknown.group(1), known, 1)
    hint = f"did you mean {near[0]!r}?" if near else f"known keys are {', '.join(sorted(known))}"
    place = f"[{'.'.join(steps)}]: " if steps else ""
    return f"{place}unknown key {unknown.group(1)!r}; {hint}"


def _fields(type_: type[msgspec.Struct], steps: list[str]) -> list[str]:
    here: Any = type_
    for step in steps:
        if isinstance(here, type) and issubclass(here, msgspec.Struct):
            here = get_type_hints(here).get(step)
        else:  # dict[str, X]
            here = get_args(here)[-1] if get_args(here) else None
    if not (isinstance(here, type) and issubclass(here, msgspec.Struct)):
        args = [arg for arg in get_args(here) if arg is not type(None)]
        here = args[-1] if args else None
    return list(here.__struct_fields__) if isinstance(here, type) and issubclass(here, msgspec.Struct) else []


__all__ = ("convert",)

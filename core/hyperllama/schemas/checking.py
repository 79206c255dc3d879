"""A finished answer held against the schema that was asked for, in bounded time."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from functools import lru_cache
from typing import Any, Final, Literal, TypeAlias

from hyperllama.schemas.leaves import formatted, is_multiple
from hyperllama.schemas.merging import spelled
from hyperllama.schemas.normal import normal
from hyperllama.schemas.patterns import matches

MAX_ANSWER: Final = 256 * 1024  # characters that are checked
MAX_SECONDS: Final = 0.5
MAX_BROKEN: Final = 8  # keywords that are named
Verdict: TypeAlias = Literal["valid", "invalid", "unchecked"]


class _Spent(Exception):
    """The work has its bound."""


def check(schema: dict[str, Any], text: str) -> tuple[Verdict, tuple[str, ...]]:
    """Return whether JSON ``text`` fits ``schema``, and the keywords that it breaks.

    Unchecked: it cannot be decided within bounds, because of a pattern, a reference or the size. Blocks up to about
    half a second.
    """
    if len(text) > MAX_ANSWER:
        return "unchecked", ()
    try:
        value = json.loads(text)
    except RecursionError:
        return "unchecked", ()
    except ValueError:
        return "invalid", ("json",)
    _validator()  # importing it is no part of the work
    work = _Work()
    try:
        broken = _broken(normal(schema), value, work)
    except (_Spent, RecursionError):
        return "unchecked", ()
    except Exception:  # noqa: BLE001 - a schema that is none: what it means is anybody's guess
        return "unchecked", ()
    if broken:
        return "invalid", broken
    return ("unchecked" if work.unsure else "valid"), ()


class _Work:
    """The state of one check. It stands in the validator's place for a format checker, which every level is given."""

    def __init__(self) -> None:
        self.unsure = False
        self._end = time.monotonic() + MAX_SECONDS

    def rest(self) -> None:
        if time.monotonic() > self._end:
            raise _Spent

    def fits(self, pattern: str, text: str) -> bool:
        found = matches(pattern, text) if pattern else True
        self.unsure = self.unsure or found is None
        return found is not False


@lru_cache(maxsize=1)
def _validator() -> Any:
    import jsonschema

    ours = {
        "pattern": _pattern,
        "patternProperties": _pattern_properties,
        "additionalProperties": _additional,
        "multipleOf": _multiple,
        "uniqueItems": _unique,
        "format": _format,
        "enum": _enum,
    }
    rules = jsonschema.Draft202012Validator.VALIDATORS
    bounded = {name: _bounded(ours.get(name, rule)) for name, rule in rules.items()}
    return jsonschema.validators.extend(jsonschema.Draft202012Validator, bounded)


def _broken(schema: Any, value: object, work: _Work) -> tuple[str, ...]:
    """Return the keywords that ``value`` breaks, a few at most."""
    import jsonschema_specifications

    found: dict[str, None] = {}
    validator = _validator()(schema, registry=jsonschema_specifications.REGISTRY, format_checker=work)
    for error in validator.iter_errors(value):
        found[str(error.validator)] = None
        if len(found) >= MAX_BROKEN:
            break
    return tuple(found)


def _bounded(rule: Callable[..., Any]) -> Callable[..., Iterator[Any]]:
    def bounded(validator: Any, value: Any, instance: Any, schema: Any) -> Iterator[Any]:
        validator.format_checker.rest()
        yield from rule(validator, value, instance, schema) or ()

    return bounded


def _pattern(validator: Any, pattern: str, instance: Any, _: Any) -> Iterator[Any]:
    if isinstance(instance, str) and not validator.format_checker.fits(pattern, instance):
        yield _error()


def _pattern_properties(validator: Any, patterns: dict[str, Any], instance: Any, _: Any) -> Iterator[Any]:
    if not isinstance(instance, dict):
        return
    for pattern, below in patterns.items():
        for name, value in instance.items():
            validator.format_checker.rest()
            if validator.format_checker.fits(pattern, name):
                yield from validator.descend(value, below, path=name, schema_path=pattern)


def _additional(validator: Any, below: Any, instance: Any, schema: dict[str, Any]) -> Iterator[Any]:
    if not isinstance(instance, dict):
        return
    declared, patterns = schema.get("properties", {}), schema.get("patternProperties", {})
    for name, value in instance.items():
        validator.format_checker.rest()
        if name in declared or any(validator.format_checker.fits(pattern, name) for pattern in patterns):
            continue
        if below is False:
            yield _error()
        elif isinstance(below, dict):
            yield from validator.descend(value, below, path=name)


def _format(_: Any, name: Any, instance: Any, schema: Any) -> Iterator[Any]:
    if isinstance(instance, str) and not formatted(name, instance):
        yield _error()


def _multiple(validator: Any, step: Any, instance: Any, _: Any) -> Iterator[Any]:
    if isinstance(instance, int | float) and not isinstance(instance, bool):
        found = is_multiple(instance, step)
        validator.format_checker.unsure |= found is None
        if found is False:
            yield _error()


def _unique(_: Any, wanted: Any, instance: Any, __: Any) -> Iterator[Any]:
    if wanted and isinstance(instance, list) and len({spelled(item) for item in instance}) < len(instance):
        yield _error()


def _enum(_: Any, values: Any, instance: Any, __: Any) -> Iterator[Any]:
    found = spelled(instance)
    if all(spelled(value) != found for value in values):
        yield _error()


def _error() -> Any:
    import jsonschema

    return jsonschema.ValidationError("it does not hold")  # the keyword is added by jsonschema


__all__ = ("Verdict", "check")

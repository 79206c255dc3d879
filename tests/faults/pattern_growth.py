"""Growth of every regular expression in the tree over inputs made from the expression itself.

::

    python tests/faults/pattern_growth.py

Each repeat in a pattern is an attack: what stands before it once, what it repeats n times, then a text that cannot
match. Several candidates are tried for ``search``, ``match`` and ``fullmatch`` at 1x, 4x and 16x.
"""

from __future__ import annotations

import ast
import re
import re._constants as codes  # type: ignore[import-not-found]
import re._parser as parser  # type: ignore[import-not-found]
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

ROOT = Path(__file__).parents[2]
ROOMS = ("core", "protocols", "plugins")
SIZES = (500, 2_000, 8_000)
ENOUGH = 0.005  # seconds at the largest size; less is no danger at any body's size
LIMIT = 1.5  # exponent


class Pattern(NamedTuple):
    where: str
    source: str | bytes
    flags: int


class Finding(NamedTuple):
    pattern: Pattern
    attack: str
    method: str
    seconds: tuple[float, ...]


def patterns(root: Path = ROOT) -> Iterator[Pattern]:
    """Yield the literal patterns of every ``re`` call in the tree."""
    calls = {"compile", "search", "match", "fullmatch", "sub", "subn", "split", "findall", "finditer"}
    for room in ROOMS:
        for path in sorted((root / room).rglob("*.py")):
            tree = ast.parse(path.read_text())
            for node in ast.walk(tree):
                match node:
                    case ast.Call(func=ast.Attribute(value=ast.Name(id="re"), attr=attr), args=[first, *rest]) if (
                        attr in calls
                    ):
                        try:
                            source = ast.literal_eval(first)
                        except ValueError:
                            continue
                        flags = 0
                        for argument in [*rest, *(keyword.value for keyword in node.keywords)]:
                            for name in re.findall(r"re\.([A-Z]+)", ast.unparse(argument)):
                                flags |= getattr(re, name)
                        yield Pattern(f"{path.relative_to(root)}:{node.lineno}", source, flags)


def attacks(pattern: Pattern) -> Iterator[str]:
    """Yield texts that n replaces ``\\0`` in: a prefix, a unit to repeat, a tail that fails."""
    text = pattern.source if isinstance(pattern.source, str) else pattern.source.decode("latin-1")
    tree = parser.parse(text, pattern.flags & ~re.ASCII if isinstance(pattern.source, bytes) else pattern.flags)
    seen = set()
    for prefix, unit in [*_repeats(list(tree), ""), *(("", _example(list(tree)[:n])) for n in range(1, len(tree) + 1))]:
        for tail in ("", "\n", "\x01", "!", "a", "{{", '"'):
            if unit and "\0" not in prefix + unit and (prefix, unit, tail) not in seen:
                seen.add((prefix, unit, tail))
                yield f"{prefix}\x00{unit}\x00{tail}"


def _repeats(items: list[Any], prefix: str) -> Iterator[tuple[str, str]]:
    for at, (op, value) in enumerate(items):
        before = prefix + _example(items[:at])
        if op in (codes.MAX_REPEAT, codes.MIN_REPEAT, codes.POSSESSIVE_REPEAT):
            _low, high, inner = value
            if high is codes.MAXREPEAT or high > 1000:
                yield before, _example(list(inner))
                yield "", before + _example(list(inner))
            yield from _repeats(list(inner), before)
        elif op is codes.SUBPATTERN:
            yield from _repeats(list(value[3]), before)
        elif op is codes.ATOMIC_GROUP:
            yield from _repeats(list(value), before)
        elif op is codes.BRANCH:
            for branch in value[1]:
                yield from _repeats(list(branch), before)


def _example(items: list[Any]) -> str:
    """Return a short text that ``items`` match."""
    found = ""
    for op, value in items:
        match op:
            case codes.LITERAL:
                found += chr(value)
            case codes.NOT_LITERAL:
                found += "b" if value != ord("b") else "c"
            case codes.ANY:
                found += "a"
            case codes.IN:
                found += _member(value)
            case codes.MAX_REPEAT | codes.MIN_REPEAT | codes.POSSESSIVE_REPEAT:
                found += _example(list(value[2])) * max(1, min(value[0], 3))
            case codes.SUBPATTERN:
                found += _example(list(value[3]))
            case codes.ATOMIC_GROUP:
                found += _example(list(value))
            case codes.BRANCH:
                found += _example(list(value[1][0]))
            case _:
                pass
    return found


def _member(options: list[Any]) -> str:
    if options and options[0][0] is codes.NEGATE:
        barred = {value for op, value in options[1:] if op is codes.LITERAL}
        return next(c for c in "ab1 \\{-\n" if ord(c) not in barred)
    for op, value in options:
        if op is codes.LITERAL:
            return chr(value)
        if op is codes.RANGE:
            return chr(value[0])
        if op is codes.CATEGORY:
            return {codes.CATEGORY_DIGIT: "1", codes.CATEGORY_SPACE: " ", codes.CATEGORY_NOT_SPACE: "a"}.get(value, "a")
    return "a"


def growth(pattern: Pattern) -> Iterator[Finding]:
    """Yield the attacks under which ``pattern`` costs more than linear time."""
    compiled = re.compile(pattern.source, pattern.flags)
    for attack in attacks(pattern):
        prefix, unit, tail = attack.split("\0")
        for method in ("search", "match", "fullmatch"):
            longest = _spent(compiled, pattern, method, prefix, unit * (SIZES[-1] // len(unit)) + tail)
            if longest > ENOUGH:
                shorter = [
                    _spent(compiled, pattern, method, prefix, unit * (n // len(unit)) + tail) for n in SIZES[:-1]
                ]
                if longest > shorter[-1] * 4**LIMIT:
                    yield Finding(pattern, attack.replace("\0", " | "), method, (*shorter, longest))
                    return


def _spent(compiled: Any, pattern: Pattern, method: str, prefix: str, rest: str) -> float:
    text = prefix + rest
    subject = text.encode("latin-1", "replace") if isinstance(pattern.source, bytes) else text
    started = time.process_time()
    getattr(compiled, method)(subject)
    return time.process_time() - started


def findings(root: Path = ROOT) -> list[Finding]:
    """Return one finding for each pattern that grows faster than its input."""
    return [found for pattern in set(patterns(root)) for found in growth(pattern)]


def main() -> None:
    import sys

    root = Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT
    print(f"{len(set(patterns(root)))} patterns")
    for found in (found for pattern in sorted(set(patterns(root)), key=str) for found in growth(pattern)):
        spent = " ".join(f"{each:.3f}" for each in found.seconds)
        print(
            f"{found.pattern.where}  {found.pattern.source!r}\n    {found.method} of {found.attack!r}: {spent}",
            flush=True,
        )


if __name__ == "__main__":
    main()

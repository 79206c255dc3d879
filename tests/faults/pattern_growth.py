"""Growth of every regular expression in the tree over inputs made from the expression itself.

::

    python tests/faults/pattern_growth.py [--root TREE] [--large]

Each repeat in a pattern is an attack: what stands before it once, what it repeats n times, then a text that cannot
match. The methods are those that the code calls the pattern by; all of them where it is handed on. A match from some
place on counts as a search from every place, unless the function that goes from place to place is one of
``SCANNERS``. ``--root`` runs the same over another checkout: a positive control.
"""

from __future__ import annotations

import argparse
import ast
import contextlib
import gc
import re
import re._constants as codes  # type: ignore[import-not-found]
import re._parser as parser  # type: ignore[import-not-found]
import signal
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import FrameType
from typing import Any, NamedTuple

from hyperllama.config.durations import parse_duration
from hyperllama_ollama.decode import scan
from hyperllama_ollama.errors import Failure
from hyperllama_ollama.template import lex

ROOT = Path(__file__).parents[2]
ROOMS = ("core", "protocols", "plugins")
SIZES = (2_000, 8_000)
LARGE = (500, 2_000, 8_000, 32_000, 128_000)
ENOUGH = 0.02  # seconds of 8,000 characters; less is no danger at any body's size
TICK = 0.001  # seconds that the clock of some machines cannot tell apart
LIMIT = 1.5  # exponent
BUDGET = 0.5  # seconds of one text; a pattern that takes longer is a finding
#: Functions that match from place to place and stop at the first text that does not match, by file.
SCANNERS: dict[str, Callable[[str], object]] = {
    "core/hyperllama/config/durations.py": parse_duration,
    "protocols/hyperllama_ollama/decode/scan.py": lambda text: scan.parse(text.encode()),
    "protocols/hyperllama_ollama/template/lex.py": lambda text: (lex.tokens(text), list(lex.split(text))),
}
_SCANS = {"sub": "findall", "subn": "findall", "split": "findall", "findall": "findall", "finditer": "findall"}
_METHODS = {"search": "search", "match": "match", "fullmatch": "fullmatch", **_SCANS}
ALL = ("findall", "fullmatch", "match")


class Pattern(NamedTuple):
    where: str
    source: str | bytes
    flags: int
    methods: tuple[str, ...] = ALL


class Finding(NamedTuple):
    pattern: Pattern
    attack: str
    method: str
    seconds: tuple[float, ...]


def patterns(root: Path = ROOT, rooms: Sequence[str] = ROOMS) -> Iterator[Pattern]:
    """Yield the patterns of every ``re`` call in the tree; values that only a running gateway knows are an ``x``."""
    paths = [path for room in rooms for path in sorted((root / room).rglob("*.py"))]
    texts = {path: path.read_text() for path in paths}
    trees = {path: ast.parse(text) for path, text in texts.items() if re.search("^import re$", text, re.MULTILINE)}
    public = {name for tree in trees.values() for name in _public(tree)}
    others = {path: ast.parse(text) for path, text in texts.items() if any(name in text for name in public)}
    called = {path: _called(tree) for path, tree in (others | trees).items()}
    for path, tree in trees.items():
        constants = _constants(tree)
        names = {
            id(node.value): target.id
            for node in ast.walk(tree)
            if isinstance(node, ast.Assign) and isinstance(target := node.targets[0], ast.Name)
        }
        direct = {
            id(node.func.value): _method(node)
            for node in ast.walk(tree)
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in _METHODS
        }
        for node in ast.walk(tree):
            match node:
                case ast.Call(func=ast.Attribute(value=ast.Name(id="re"), attr=attr), args=[first, *rest]) if (
                    attr == "compile" or attr in _METHODS
                ):
                    source = _text(first, constants)
                    flags = 0
                    for argument in [*rest, *(keyword.value for keyword in node.keywords)]:
                        for name in re.findall(r"re\.([A-Z]+)", ast.unparse(argument)):
                            flags |= getattr(re, name)
                    methods: tuple[str, ...] = (_METHODS[attr],) if attr != "compile" else ALL
                    if id(node) in direct:
                        methods = (direct[id(node)],)
                    elif attr == "compile" and (name := names.get(id(node))) is not None:
                        places = [called[path]] if name.startswith("_") else called.values()
                        methods = tuple(sorted(set().union(*(place[name] for place in places)))) or ALL
                    scanned = root == ROOT and str(path.relative_to(root)) in SCANNERS
                    methods = tuple("findall" if each == "place" and not scanned else each for each in methods)
                    if source is not None:
                        yield Pattern(f"{path.relative_to(root)}:{node.lineno}", source, flags, methods)


def _method(call: ast.Call) -> str:
    """Return how often ``call`` tries its pattern: a match from some place on is one of many, as a search is."""
    attr = call.func.attr  # type: ignore[attr-defined]
    return "place" if attr == "match" and len(call.args) > 1 else _METHODS[attr]


def _called(tree: ast.AST) -> dict[str, set[str]]:
    """Return the methods that each name in ``tree`` is called by; all of them for one that is handed on."""
    found = defaultdict[str, set[str]](set)
    called = set()
    for node in ast.walk(tree):
        match node:
            case ast.Call(func=ast.Attribute(value=ast.Name(id=name) | ast.Attribute(attr=name) as value, attr=attr)):
                called.add(id(value))
                if attr in _METHODS:
                    found[name].add(_method(node))
    for node in ast.walk(tree):
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load) and id(node) not in called:
            found[node.id].update(ALL)
    return found


def _constants(tree: ast.Module) -> dict[str, str]:
    """Return the texts that are assigned to a module's names."""
    found: dict[str, str] = {}
    for node in tree.body:
        if isinstance(node, ast.Assign) and isinstance(target := node.targets[0], ast.Name):
            text = _text(node.value, found)
            if isinstance(text, str):
                found[target.id] = text
    return found


def _public(tree: ast.Module) -> Iterator[str]:
    """Yield the names of a module's patterns that other modules may import."""
    for node in tree.body:
        match node:
            case ast.Assign(
                targets=[ast.Name(id=name)], value=ast.Call(func=ast.Attribute(value=ast.Name(id="re"), attr="compile"))
            ) if not name.startswith("_"):
                yield name


def _text(node: ast.expr, constants: dict[str, str]) -> str | bytes | None:
    """Return the text that ``node`` stands for; None: no text."""
    match node:
        case ast.Constant(value=str() | bytes() as value):
            return value
        case ast.Name(id=name):
            return constants.get(name)
        case ast.JoinedStr(values=values):
            return "".join(str(_text(value, constants) or "x") for value in values)
        case ast.FormattedValue(value=value):
            return _text(value, constants)
        case ast.BinOp(left=left, op=ast.Add(), right=right):
            first, second = _text(left, constants), _text(right, constants)
            if first is None and second is None:
                return None
            return str(first or "x") + str(second or "x")
    return None


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


def growth(pattern: Pattern, sizes: Sequence[int] = SIZES) -> Iterator[Finding]:
    """Yield one attack under which ``pattern`` costs more than linear time, if there is one."""
    try:
        compiled = re.compile(pattern.source, pattern.flags)
    except re.error:  # a piece that others are made of
        return
    for attack in attacks(pattern):
        prefix, unit, tail = attack.split("\0")
        for method in pattern.methods:
            spent: list[float] = []
            for size in sizes:
                text = prefix + unit * (size // len(unit)) + tail
                spent.append(_spent(compiled, pattern, method, text))
                if spent[-1] > BUDGET:
                    break
            if spent[-1] > BUDGET or (
                spent[-1] > ENOUGH * max(1, size / SIZES[-1]) and spent[-1] > max(spent[-2], TICK) * 4**LIMIT
            ):
                yield Finding(pattern, attack.replace("\0", " | "), method, tuple(spent))
                return


class _Late(Exception):
    pass


def _late(_number: int, _frame: FrameType | None) -> None:
    raise _Late


def _spent(compiled: Any, pattern: Pattern, method: str, text: str) -> float:
    """Return the CPU seconds of one call; the shortest of five where it seems long. No garbage is collected in it."""
    subject = text.encode("latin-1", "replace") if isinstance(pattern.source, bytes) else text
    call: Callable[[Any], object] = (
        SCANNERS[pattern.where.partition(":")[0]] if method == "place" else getattr(compiled, method)
    )
    best = float("inf")
    for _ in range(5):
        collects = gc.isenabled()
        gc.disable()
        started = time.process_time()
        with contextlib.suppress(_Late, ValueError, Failure):
            before = signal.signal(signal.SIGPROF, _late)
            try:
                signal.setitimer(signal.ITIMER_PROF, 2 * BUDGET)
                call(subject)
            finally:
                signal.setitimer(signal.ITIMER_PROF, 0)
                signal.signal(signal.SIGPROF, before)
                if collects:
                    gc.enable()
        best = min(best, time.process_time() - started)
        if not ENOUGH < best < BUDGET:
            break
    return best


def findings(root: Path = ROOT, sizes: Sequence[int] = SIZES) -> Iterator[Finding]:
    """Yield one finding for each pattern that grows faster than its input."""
    for pattern in sorted(set(patterns(root)), key=str):
        yield from growth(pattern, sizes)


def main() -> None:
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--root", type=Path, default=ROOT, help="another checkout")
    arguments.add_argument("--large", action="store_true", help="texts up to 128,000 characters")
    chosen = arguments.parse_args()
    print(f"{len(set(patterns(chosen.root)))} patterns")
    for found in findings(chosen.root, LARGE if chosen.large else SIZES):
        spent = " ".join(f"{each:.4f}" for each in found.seconds)
        print(f"{found.pattern.where}  {found.pattern.source!r}", flush=True)
        print(f"    {found.method} of {found.attack!r}: {spent}", flush=True)


if __name__ == "__main__":
    main()

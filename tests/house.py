"""Hold a mirror up to the source: sizes, circles, homonyms, sentences, tests. Standard library only.

    python tests/house.py [--root CHECKOUT] [--summary]
    python tests/house.py --write     bring the map in tests/README.md up to date

Two figures are rules, and the exit status is 1 where they are broken: modules import each other in no circle, and
plugins, protocols and examples import the public modules of the core and nothing else. The list of those modules is
the one that import-linter reads in ``pyproject.toml``. All other figures are for people to look at.
"""

from __future__ import annotations

import argparse
import ast
import re
import statistics
import sys
import tomllib
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

CONTRACT = "public_api"
SOURCES = ("core", "protocols", "plugins", "examples/*")
MAP = "<!-- made by tests/house.py --write -->\n", "<!-- end of the map -->\n"
#: The folders that test a room without a folder of its name.
FOLDERS = {
    "hyperllama": ["app", "web", "testing"],
    "hyperllama_echo": ["e2e"],
    "hub": ["modelstore"],
    "hyperllama_hub": ["modelstore"],
    "hyperllama_policy": ["app", "e2e"],
    "spi": ["testing", "app"],
}
MANY = 8  # folders of tests that import a room; with more of them, all are to be run
#: A docstring that begins so is a riddle until the code is read.
RELATIVE = frozenset(
    (
        *("as", "how", "that", "those", "until", "what", "whatever", "when", "whenever"),
        *("where", "wherever", "whether", "which", "while", "who", "whoever", "whose"),
    )
)
#: Folders whose modules are run by hand or by alembic.
WITHOUT_TESTS = frozenset({"migrations", "training", "versions"})


@dataclass(frozen=True)
class Module:
    name: str
    path: Path
    room: str
    lines: int
    tree: ast.Module


@dataclass
class Report:
    modules: list[Module]
    circles: list[list[str]]
    trespasses: list[str]
    homonyms: dict[str, list[str]]
    riddles: dict[str, list[str]] = field(default_factory=dict)
    sentences: int = 0
    untested: list[str] = field(default_factory=list)
    testable: int = 0
    unseen: list[str] = field(default_factory=list)
    importers: defaultdict[str, set[str]] = field(default_factory=lambda: defaultdict(set))
    excused: int = 0

    @property
    def broken(self) -> bool:
        return bool(self.circles or self.trespasses)


def read(root: Path) -> list[Module]:
    """Parse every module below the source folders of ``root``."""
    modules = []
    for pattern in SOURCES:
        for source in sorted(root.glob(pattern)):
            for path in sorted(source.rglob("*.py")):
                parts = path.relative_to(source).with_suffix("").parts
                if parts[0].startswith("hyperllama"):
                    text = path.read_text("utf-8")
                    name = ".".join(parts).removesuffix(".__init__")
                    modules.append(Module(name, path, _room(parts), text.count("\n"), ast.parse(text)))
    return modules


def _room(parts: Sequence[str]) -> str:
    package, *inner = parts
    if package == "hyperllama":
        return inner[0] if len(inner) > 1 else "hyperllama"
    return f"{package}/training" if inner[0] == "training" else package


def imports(module: Module, names: frozenset[str], *, at_start: bool) -> Iterator[tuple[str, int]]:
    """Yield what ``module`` imports of ``names`` and the line; ``at_start``: only what its own import runs."""
    nodes: list[ast.AST] = [module.tree]
    while nodes:
        node = nodes.pop()
        if at_start and isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            continue
        if at_start and isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test):
            nodes.extend(node.orelse)
            continue
        if isinstance(node, ast.Import):
            yield from ((alias.name, node.lineno) for alias in node.names if alias.name in names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            for alias in node.names:
                whole = f"{node.module}.{alias.name}"
                if whole in names or node.module in names:
                    yield (whole if whole in names else node.module), node.lineno
        nodes.extend(ast.iter_child_nodes(node))


def circles(graph: dict[str, set[str]]) -> list[list[str]]:
    """Return the strongly connected components of more than one node (Tarjan)."""
    order: dict[str, int] = {}
    low: dict[str, int] = {}
    stack: list[str] = []
    found = []

    def visit(node: str) -> None:
        order[node] = low[node] = len(order)
        stack.append(node)
        for other in graph[node]:
            if other not in order:
                visit(other)
                low[node] = min(low[node], low[other])
            elif other in stack:
                low[node] = min(low[node], order[other])
        if low[node] == order[node]:
            part = stack[stack.index(node) :]
            del stack[stack.index(node) :]
            if len(part) > 1:
                found.append(sorted(part))

    for node in graph:
        if node not in order:
            visit(node)
    return sorted(found)


def public_modules(pyproject: Path) -> tuple[tuple[str, ...], tuple[str, ...], frozenset[tuple[str, str]]]:
    """Return the allowlist of import-linter's contract: modules, faces, and imports that are excused."""
    contracts = tomllib.loads(pyproject.read_text("utf-8"))["tool"]["importlinter"]["contracts"]
    contract = next(contract for contract in contracts if contract["type"] == CONTRACT)
    excused = frozenset(tuple(line.split(" -> ")) for line in contract.get("ignore_imports", ()))
    return tuple(contract["public"]), ("hyperllama", *contract["faces"]), excused  # type: ignore[return-value]


def trespasses(modules: Sequence[Module], names: frozenset[str], pyproject: Path) -> list[str]:
    """Return the imports by which outsiders pass the border of the core."""
    public, faces, excused = public_modules(pyproject)
    found = []
    for module in modules:
        if module.name.partition(".")[0] == "hyperllama":
            continue
        for imported, line in imports(module, names, at_start=False):
            allowed = imported in faces or any(imported == each or imported.startswith(f"{each}.") for each in public)
            inside = imported.partition(".")[0] == "hyperllama"
            if inside and not allowed and (module.name, imported) not in excused:
                found.append(f"{module.name} -> {imported} (line {line})")
    return sorted(set(found))


def homonyms(modules: Sequence[Module]) -> dict[str, list[str]]:
    """Return the public class names that more than one module defines."""
    found = defaultdict(list)
    for module in modules:
        for node in module.tree.body:
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                found[node.name].append(module.name)
    return {name: where for name, where in sorted(found.items()) if len(where) > 1}


def docstrings(module: Module) -> Iterator[tuple[str, int]]:
    """Yield the first word of each docstring, in lower case, and its line."""
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            words = re.findall(r"[A-Za-z`]+", ast.get_docstring(node) or "")
            if words:
                yield words[0].lower(), node.body[0].lineno


def untested(modules: Sequence[Module], tests: Path) -> tuple[list[str], int]:
    """Return the modules that no test file is named for, and how many should have one.

    The tests of room ``limits`` are in ``tests/limits``, and ``windows.py`` is named in ``test_windows.py`` as in
    ``test_windows_on_redis.py``. A module directly in ``hyperllama`` may have its test in any room.
    """
    names: defaultdict[str, str] = defaultdict(str)
    for path in sorted(tests.rglob("test_*.py")):
        room = path.relative_to(tests).parts[0]
        names[room] += f"{path.stem}_ "
        names["hyperllama"] += f"{path.stem}_ "
    missing, count = [], 0
    for module in modules:
        stem = module.path.stem
        if stem.startswith("__") or WITHOUT_TESTS & set(module.path.parts) or "examples" in module.path.parts:
            continue
        count += 1
        if f"_{stem}_" not in names[module.room.removeprefix("hyperllama_")]:
            missing.append(module.name)
    return missing, count


def _imported_by_tests(tests: Path, names: frozenset[str]) -> defaultdict[str, set[str]]:
    """Return the modules that tests import, each with the folders of the tests that import it."""
    seen: defaultdict[str, set[str]] = defaultdict(set)
    for path in sorted(tests.rglob("*.py")):
        module = Module(path.stem, path, "tests", 0, ast.parse(path.read_text("utf-8")))
        for name, _ in imports(module, names, at_start=False):
            seen[name].add(path.relative_to(tests).parts[0])
    return seen


def tests_of(report: Report, root: Path) -> dict[str, tuple[list[str], list[str]]]:
    """Return for each room its own folders of tests and the others whose tests import its modules.

    The own folder has the room's name. A room without one has the folders of ``FOLDERS``.
    """
    rooms = {module.name: module.room for module in report.modules}
    found = {}
    for room in sorted(set(rooms.values())):
        named = room.removeprefix("hyperllama_").partition("/")[0]
        own = [named] if (root / "tests" / named).is_dir() else FOLDERS.get(room, [])
        beside = set().union(*(report.importers.get(name, set()) for name in rooms if rooms[name] == room)) - {
            *own,
            "support",
        }
        found[room] = own, sorted(name for name in beside if (root / "tests" / name).is_dir())
    return found


def write_map(report: Report, root: Path) -> None:
    """Write the table of :func:`tests_of` between the two marks in ``tests/README.md``."""
    lines = ["| source | its tests | imported by the tests of |\n", "| --- | --- | --- |\n"]
    for room, (own, beside) in tests_of(report, root).items():
        more = ", ".join(beside) if len(beside) <= MANY else f"most rooms ({len(beside)}): run all"
        lines.append(f"| `{room}` | {' '.join(f'`{name}`' for name in own)} | {more} |\n")
    path = root / "tests" / "README.md"
    before, rest = path.read_text("utf-8").split(MAP[0])
    path.write_text(before + MAP[0] + "\n" + "".join(lines) + "\n" + MAP[1] + rest.partition(MAP[1])[2], "utf-8")


def inspect(root: Path, pyproject: Path | None = None) -> Report:
    """Look at the checkout in ``root``; ``pyproject`` holds the allowlist where that tree has none."""
    modules = read(root)
    names = frozenset(module.name for module in modules)
    graph = {module.name: {name for name, _ in imports(module, names, at_start=True)} for module in modules}
    own = root / "pyproject.toml"
    listed = own if CONTRACT in own.read_text("utf-8") else pyproject or own
    report = Report(modules, circles(graph), trespasses(modules, names, listed), homonyms(modules))
    for module in modules:
        for word, line in docstrings(module):
            report.sentences += 1
            if word in RELATIVE:
                report.riddles.setdefault(module.room, []).append(f"{module.path.relative_to(root)}:{line} {word}")
    report.untested, report.testable = untested(modules, root / "tests")
    report.importers = _imported_by_tests(root / "tests", names)
    report.unseen = [name for name in report.untested if name not in report.importers]
    report.excused = len(public_modules(listed)[2])
    return report


def summary(report: Report) -> list[str]:
    sizes = [module.lines for module in report.modules]
    largest = max(report.modules, key=lambda module: module.lines)
    top = [module for module in report.modules if module.room == "hyperllama"]
    riddles = sum(map(len, report.riddles.values()))
    twice = Counter({name: len(where) for name, where in report.homonyms.items()})
    missing, unseen = len(report.untested), len(report.unseen)
    circles, border = (" BROKEN" if found else "" for found in (report.circles, report.trespasses))
    return [
        f"rooms                {len({module.room for module in report.modules})}",
        f"files                {len(sizes)}, {sum(sizes):,} lines, median {statistics.median(sizes):.0f}",
        f"largest              {largest.lines} lines, {largest.name}; over 400: {sum(size > 400 for size in sizes)}",
        f"directly in core     {len(top)} modules",
        f"public class twice   {len(twice)} names: {', '.join(f'{n} {c}' for n, c in twice.most_common(8))}",
        f"relative sentences   {riddles} of {report.sentences} docstrings ({riddles / max(1, report.sentences):.0%})",
        f"without a test       {missing} of {report.testable} modules, by name; {unseen} are imported by none",
        f"import circles       {len(report.circles)}{circles}",
        f"past the border      {len(report.trespasses)}{border}, {report.excused} excused",
    ]


def details(report: Report) -> Iterator[str]:
    rooms = defaultdict(list)
    for module in report.modules:
        rooms[module.room].append(module.lines)
    yield f"{'room':26} files  lines median largest"
    for room, sizes in sorted(rooms.items()):
        yield f"{room:26} {len(sizes):5} {sum(sizes):6} {statistics.median(sizes):6.0f} {max(sizes):7}"
    yield "\npublic class names that stand twice"
    yield from (f"  {name}: {', '.join(where)}" for name, where in report.homonyms.items())
    yield "\ndocstrings that begin with a relative word"
    yield from (f"  {room}: {len(found)}" for room, found in sorted(report.riddles.items()))
    yield "\nmodules without a test named for them"
    yield from (f"  {name}{' (imported by none)' if name in report.unseen else ''}" for name in report.untested)
    yield "\nimport circles"
    yield from ("  " + ", ".join(circle) for circle in report.circles)
    yield "\nimports past the border"
    yield from (f"  {trespass}" for trespass in report.trespasses)
    yield ""


def main(arguments: Sequence[str] | None = None) -> int:
    here = Path(__file__).parents[1]
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--root", type=Path, default=here, help="The checkout to look at.")
    parser.add_argument("--summary", action="store_true", help="Print the summary and what is broken, nothing else.")
    parser.add_argument("--write", action="store_true", help="Bring the map in tests/README.md up to date.")
    options = parser.parse_args(arguments)
    report = inspect(options.root, here / "pyproject.toml")
    if options.write:
        write_map(report, options.root)
    if options.summary:
        lines = [*(f"circle: {', '.join(circle)}" for circle in report.circles), *report.trespasses]
    else:
        lines = [*details(report)]
    print(*lines, *summary(report), sep="\n")
    return 1 if report.broken else 0


if __name__ == "__main__":
    sys.exit(main())

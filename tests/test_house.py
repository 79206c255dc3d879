"""The mirror shows what is there: planted faults are found, and a clean tree has none."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

from tests import house
from tests.support.paths import ROOT

PYPROJECT = """
[[tool.importlinter.contracts]]
type = "public_api"
public = ["hyperllama.errors", "hyperllama.spi"]
faces = ["hyperllama.web"]
ignore_imports = ["hyperllama_echo.old -> hyperllama.limits.windows"]
"""
CLEAN = {
    "core/hyperllama/__init__.py": "",
    "core/hyperllama/errors.py": "class Wrong(Exception): ...\n",
    "core/hyperllama/spi/__init__.py": "from hyperllama.spi.walk import Call\n",
    "core/hyperllama/spi/walk.py": "from hyperllama.errors import Wrong\nclass Call: ...\n",
    "core/hyperllama/limits/__init__.py": "",
    "core/hyperllama/limits/windows.py": 'def read():\n    """Return."""\n    from hyperllama.limits import tiers\n',
    "core/hyperllama/limits/tiers.py": "from hyperllama.limits.windows import read\n",
    "core/hyperllama/web/__init__.py": "",
    "core/hyperllama/web/fetch.py": "",
    "plugins/hyperllama_echo/__init__.py": "import hyperllama\nfrom hyperllama.spi.walk import Call\n",
    "plugins/hyperllama_echo/old.py": "from hyperllama.limits.windows import read\n",
    "tests/limits/test_windows.py": "",
    "tests/web/test_tiers.py": "",
    "pyproject.toml": PYPROJECT,
}


def planted(root: Path, files: dict[str, str] | None = None) -> house.Report:
    for name, text in {**CLEAN, **(files or {})}.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, "utf-8")
    return house.inspect(root)


def test_a_clean_tree_is_not_broken(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    report = planted(tmp_path)
    assert not report.broken
    assert (report.homonyms, report.riddles) == ({}, {})
    assert house.main(["--root", str(tmp_path)]) == 0
    assert "import circles       0\n" in capsys.readouterr().out


def test_modules_that_import_each_other_are_a_circle_and_fail(tmp_path: Path) -> None:
    errors, windows = "from hyperllama.limits import tiers\n", "import hyperllama.errors\n"
    report = planted(tmp_path, {"core/hyperllama/errors.py": errors, "core/hyperllama/limits/windows.py": windows})
    assert report.circles == [["hyperllama.errors", "hyperllama.limits.tiers", "hyperllama.limits.windows"]]
    assert house.main(["--root", str(tmp_path), "--summary"]) == 1


@pytest.mark.parametrize(
    ("line", "imported"),
    [
        ("from hyperllama.limits.windows import read", "hyperllama.limits.windows"),
        ("from hyperllama.limits import windows", "hyperllama.limits.windows"),
        ("from hyperllama import limits", "hyperllama.limits"),
        ("import hyperllama.limits.windows", "hyperllama.limits.windows"),
        ("from hyperllama.web import fetch", "hyperllama.web.fetch"),
        ("from hyperllama.web.fetch import Fetcher", "hyperllama.web.fetch"),
        ("def late():\n    from hyperllama.limits import tiers", "hyperllama.limits.tiers"),
        ("if TYPE_CHECKING:\n    from hyperllama.limits import tiers", "hyperllama.limits.tiers"),
    ],
)
@pytest.mark.parametrize("importer", ["plugins/hyperllama_echo/more.py", "examples/echo/hyperllama_echo/more.py"])
def test_a_private_import_of_any_form_passes_the_border_and_fails(
    importer: str, line: str, imported: str, tmp_path: Path
) -> None:
    report = planted(tmp_path, {importer: line + "\n"})
    assert [found.partition(" (")[0] for found in report.trespasses] == [f"hyperllama_echo.more -> {imported}"]
    assert house.main(["--root", str(tmp_path), "--summary"]) == 1


def test_a_new_room_is_private(tmp_path: Path) -> None:
    importer = "import hyperllama.novel\nimport hyperllama.loose\n"
    new = {"core/hyperllama/novel/__init__.py": "", "core/hyperllama/loose.py": ""}
    report = planted(tmp_path, {**new, "plugins/hyperllama_echo/more.py": importer})
    assert len(report.trespasses) == 2


def test_homonyms_relative_sentences_and_missing_tests_are_shown_and_break_nothing(tmp_path: Path) -> None:
    text = '"""Whether it is."""\nclass Call:\n    """A call."""\n'
    report = planted(tmp_path, {"core/hyperllama/limits/again.py": text})
    assert report.homonyms == {"Call": ["hyperllama.limits.again", "hyperllama.spi.walk"]}
    assert report.riddles == {"limits": ["core/hyperllama/limits/again.py:1 whether"]}
    assert "hyperllama.limits.windows" not in report.untested
    assert {"hyperllama.limits.tiers", "hyperllama.limits.again"} <= set(report.untested)
    assert not report.broken


@pytest.fixture(scope="module")
def report() -> house.Report:
    """Return the mirror of this checkout."""
    return house.inspect(ROOT)


def test_this_checkout_has_no_circle_and_keeps_its_border(report: house.Report) -> None:
    assert report.circles == []
    assert report.trespasses == []
    assert len(house.summary(report)) <= 14


def test_the_map_names_every_room_and_folders_that_are_there(report: house.Report) -> None:
    text = (ROOT / "tests" / "README.md").read_text("utf-8").partition(house.MAP[0])[2].partition(house.MAP[1])[0]
    cells = [line.split("|") for line in text.splitlines() if line.startswith("|")]
    rows = {row[1].strip(" `"): re.findall(r"`(\w+)`", row[2]) for row in cells}
    del rows["source"], rows["---"]
    assert {room: own for room, (own, _) in house.tests_of(report, ROOT).items()} == rows
    for room, folders in rows.items():
        assert folders, f"no folder of tests is named for {room}: add it to FOLDERS in tests/house.py"
        assert all(any((ROOT / "tests" / folder).glob("test_*.py")) for folder in folders)


def test_every_folder_of_tests_is_in_the_table() -> None:
    text = (ROOT / "tests" / "README.md").read_text("utf-8").partition("\n## ")[0]
    listed = re.findall(r"^\| `(\w+)` \|", text, re.MULTILINE)
    assert listed == sorted({path.parent.name for path in (ROOT / "tests").glob("*/test_*.py")})


def test_what_the_design_says_of_imports_is_what_the_linter_holds() -> None:
    design = (ROOT / "core" / "DESIGN.md").read_text("utf-8").partition("## Imports")[2].partition("\n## ")[0]
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]["importlinter"]["contracts"]
    assert [line[2:] for line in design.splitlines() if line.startswith("- ")] == [each["name"] for each in contracts]
    layers = next(each["layers"] for each in contracts if each["type"] == "layers")
    assert design.partition("```\n")[2].partition("\n```")[0].splitlines() == layers
    public = next(each for each in contracts if each["type"] == "public_api")
    shown, faces = design.partition("Public: ")[2].partition("Faces: ")[::2]
    assert re.findall(r"`(\w+)`", shown) == [name.removeprefix("hyperllama.") for name in public["public"]]
    assert re.findall(r"`(\w+)`", faces.partition(".")[0]) == [n.removeprefix("hyperllama.") for n in public["faces"]]


def test_every_path_and_module_that_the_design_names_exists() -> None:
    core = ROOT / "core" / "hyperllama"
    design = (ROOT / "core" / "DESIGN.md").read_text("utf-8").replace("`config.toml`", "")
    paths = re.findall(r"`([a-z_]+/[a-z_/]*(?:\.\w+)?)`", design)
    pairs = re.findall(r"`([a-z]+)\.([a-z_]+)", design)
    modules = [f"{room}/{name}.py" for room, name in pairs if (core / room).is_dir()]
    assert len(paths) > 10
    assert len(modules) > 15
    tops = (ROOT, ROOT / "core", core)
    assert [each for each in paths + modules if not any((top / each).exists() for top in tops)] == []

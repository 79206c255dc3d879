"""No version with a known hole is allowed by pyproject.toml, or installed here. A table, to work offline."""

from __future__ import annotations

import tomllib
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.version import Version

PROJECT = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text("utf-8"))["project"]

#: distribution, versions with the hole, the advisory. Ours and those that ours bring along.
HOLES = (
    ("multipart", "<1.2.2", "CVE-2026-28356"),
    ("multipart", "==1.3.0", "CVE-2026-28356"),
    ("pyjwt", "<2.12.0", "CVE-2026-32597"),
    ("pyjwt", "==2.10.0", "CVE-2024-53861"),
    ("litestar", "<2.18.0", "CVE-2025-59152"),
    ("h11", "<0.16.0", "CVE-2025-43859"),
    ("jinja2", "<3.1.6", "CVE-2025-27516"),
    ("mako", "<1.2.2", "CVE-2022-40023"),
    ("cryptography", "<44.0.1", "CVE-2024-12797"),
    ("requests", "<2.32.4", "CVE-2024-47081"),
    ("urllib3", "<2.6.0", "CVE-2025-66418"),
    ("redis", "<4.5.4", "CVE-2023-28859"),
)


def declared() -> list[Requirement]:
    extras = PROJECT["optional-dependencies"].values()
    return [Requirement(text) for text in (*PROJECT["dependencies"], *(text for extra in extras for text in extra))]


@pytest.mark.parametrize(("name", "bad", "advisory"), HOLES)
def test_no_declared_range_allows_a_version_with_a_known_hole(name: str, bad: str, advisory: str) -> None:
    """The highest bad version that the table knows is outside of every range that is declared."""
    edge = Version(next(iter(SpecifierSet(bad))).version)
    for requirement in declared():
        if requirement.name.lower() != name:
            continue
        floors = [Version(spec.version) for spec in requirement.specifier if spec.operator in (">=", "==", "~=")]
        assert floors, f"{requirement} has no floor"
        lowest = max(floors)
        assert lowest >= edge if bad.startswith("<") else lowest > edge, f"{requirement} allows {bad}: {advisory}"


@pytest.mark.parametrize(("name", "bad", "advisory"), HOLES)
def test_no_version_with_a_known_hole_is_installed(name: str, bad: str, advisory: str) -> None:
    try:
        installed = version(name)
    except PackageNotFoundError:
        pytest.skip(f"{name} is not installed")
    assert not SpecifierSet(bad).contains(installed, prereleases=True), f"{name} {installed}: {advisory}"


def test_every_dependency_has_a_floor() -> None:
    assert [
        str(requirement)
        for requirement in declared()
        if not any(spec.operator in (">=", "==", "~=") for spec in requirement.specifier)
    ] == []

"""Compiled graphs: found by what they compute, made again where they are damaged, and some of them shipped."""

from __future__ import annotations

import lzma
from importlib import metadata
from pathlib import Path

import pytest

from hyperllama.models import LoadProgress, ModelSpec
from hyperllama_max import graphs
from hyperllama_max.engine import MaxEngine
from hyperllama_max.graphs import LEVELS, SHIPPED, GraphStore, cpu_flags
from hyperllama_max.load_times import LoadTimes
from hyperllama_max.settings import MaxSettings
from tests.support.asking_max import CHAT, EMBED, LENGTH

V3 = "x86-64-v3"


class Compiled:
    def __init__(self, text: str) -> None:
        self.text = text

    def export_mef(self, path: Path) -> None:
        path.write_text(self.text)


def read(path: Path) -> str:
    if (text := path.read_text()) == "damaged":
        raise RuntimeError("no graph")
    return f"read {text}"


def obtain(store: GraphStore, digest: str, text: str = "code") -> object:
    found = store.obtain("my graph", digest * 64, read, lambda: Compiled(text))
    return found.text if isinstance(found, Compiled) else found


@pytest.fixture
def v3(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metadata, "version", lambda name: "1.2.3")
    monkeypatch.setattr(graphs, "cpu_flags", lambda: LEVELS[V3] | {"avx512f"})


def test_a_graph_is_compiled_once_and_shared(tmp_path, v3):
    first, other = GraphStore(tmp_path, None), GraphStore(tmp_path, None)
    assert obtain(first, "a") == "code"
    assert obtain(other, "a") == "read code"
    assert obtain(other, "b", "more") == "more"
    assert (len(first.compiled), first.reused) == (1, [])
    assert (len(other.compiled), other.reused) == (1, first.compiled)
    assert sorted(path.suffix for path in other.folder.iterdir()) == [".mef", ".mef"]


def test_a_damaged_graph_is_made_again(tmp_path, v3):
    first = GraphStore(tmp_path, None)
    obtain(first, "a")
    (first.folder / first.compiled[0]).write_text("damaged")
    again = GraphStore(tmp_path, None)
    assert obtain(again, "a") == "code"
    assert again.compiled == first.compiled
    assert obtain(GraphStore(tmp_path, None), "a") == "read code"


def test_what_was_read_and_does_not_do_is_forgotten(tmp_path, v3):
    obtain(GraphStore(tmp_path, None), "a", "old")
    store = GraphStore(tmp_path, None)
    assert obtain(store, "a", "new") == "read old"
    store.forget()
    assert obtain(store, "a", "new") == "new"


@pytest.mark.parametrize(
    ("release", "flags", "packed", "answer"),
    [
        ("1.2.3", LEVELS[V3], lzma.compress(b"shipped"), "read shipped"),
        ("1.2.3", LEVELS[V3] | {"avx512f", "hypervisor"}, lzma.compress(b"shipped"), "read shipped"),
        ("1.2.3", LEVELS[V3] - {"fma"}, lzma.compress(b"shipped"), "code"),
        ("1.2.3", frozenset({"asimd"}), lzma.compress(b"shipped"), "code"),
        ("1.2.4", LEVELS[V3], lzma.compress(b"shipped"), "code"),
        ("1.2.3", LEVELS[V3], lzma.compress(b"shipped")[:-8], "code"),
        ("1.2.3", LEVELS[V3], b"no xz", "code"),
        ("1.2.3", LEVELS[V3], lzma.compress(b"damaged"), "code"),
    ],
    ids=["level", "more", "less", "arm", "another-max", "cut", "no-xz", "damaged"],
)
def test_a_shipped_graph_serves_the_processors_and_the_max_that_it_is_for(
    tmp_path, monkeypatch, release, flags, packed, answer
):
    (tmp_path / "shipped" / "1.2.3" / V3).mkdir(parents=True)
    name = f"my_graph-{'a' * 24}.mef"
    (tmp_path / "shipped" / "1.2.3" / V3 / f"{name}.xz").write_bytes(packed)
    monkeypatch.setattr(metadata, "version", lambda name: release)
    monkeypatch.setattr(graphs, "cpu_flags", lambda: flags)
    store = GraphStore(tmp_path / "cache", tmp_path / "shipped")
    assert obtain(store, "a") == answer
    assert [path.name for path in store.folder.iterdir()] == [name]
    assert store.has([name])


def test_graphs_of_another_processor_are_not_found(tmp_path, v3, monkeypatch):
    obtain(GraphStore(tmp_path, None), "a")
    monkeypatch.setattr(graphs, "cpu_flags", lambda: LEVELS[V3])
    assert obtain(GraphStore(tmp_path, None), "a", "here") == "here"


def test_an_estimate_knows_whether_the_graphs_are_at_hand(tmp_path, v3):
    def shape() -> LoadTimes:
        return LoadTimes(tmp_path, {"a": 1})

    store = GraphStore(tmp_path, None)
    assert shape().estimate(store) is None
    obtain(store, "a")
    shape().remember(100.0, store)
    assert LoadTimes(tmp_path, {"a": 2}).estimate(GraphStore(tmp_path, None)) is None
    warm = GraphStore(tmp_path, None)
    obtain(warm, "a")
    shape().remember(2.0, warm)
    assert shape().estimate(GraphStore(tmp_path, None)) == 2.0
    warm.forget()
    assert shape().estimate(GraphStore(tmp_path, None)) == 100.0


def test_the_terms_and_the_notice_stand_beside_what_is_shipped():
    assert "Modular MAX Community License" in (SHIPPED / "LICENSE").read_text("utf-8")
    notice = " ".join((SHIPPED / "NOTICE").read_text("utf-8").split())
    assert "MAX is licensed by Modular Inc under the Modular MAX Community License and has been modified by" in notice
    assert {path.suffix for path in SHIPPED.rglob("*") if path.is_file()} == {"", ".xz"}


@pytest.mark.max
@pytest.mark.timeout(600)
@pytest.mark.parametrize("path", [CHAT, EMBED], ids=["chat", "embed"])
async def test_a_built_in_model_compiles_nothing_on_a_processor_that_graphs_are_shipped_for(tmp_path, path):
    if not (SHIPPED / metadata.version("max")).is_dir() or not LEVELS[V3] <= cpu_flags():
        pytest.skip("no graphs are shipped for this machine")
    reports: list[LoadProgress] = []
    spec = ModelSpec(name="m", **(LENGTH if path is CHAT else {}))
    model = await MaxEngine(MaxSettings(cache_dir=str(tmp_path))).load(spec, path, reports.append)
    await model.close()
    phases = [report.phase for report in reports]
    assert "loading" in phases
    assert "compiling" not in phases

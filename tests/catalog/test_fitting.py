"""Memory that fits: the batch gets smaller before a load is refused, and the length never does."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest
from click.testing import CliRunner

from hyperllama.catalog.catalog import Catalog
from hyperllama.catalog.fitting import fitted
from hyperllama.cli.commands import cli
from hyperllama.config import Server
from hyperllama.errors import LoadFailed
from hyperllama.models import ModelInfo, ModelSpec
from hyperllama.modelstore.loadtimes import LoadTimes
from tests.support.fake_engine import FakeEngine

FIXED, EACH = 100, 10


class PlacesEngine(FakeEngine):
    """Each place of the batch takes memory."""

    def describe(self, spec: ModelSpec, path: Path | None) -> ModelInfo:
        return msgspec.structs.replace(
            super().describe(spec, path),
            max_batch_size=spec.max_batch_size,
            memory_bytes=FIXED + spec.max_batch_size * EACH,
            place_bytes=EACH,
        )


def catalog_of(budget: int) -> tuple[Catalog, PlacesEngine]:
    engine = PlacesEngine()
    catalog = Catalog(Server(), engines={"fake": engine}, sources={}, load_times=LoadTimes(None), memory=budget)
    catalog.put(catalog.describe(ModelSpec(name="m", engine="fake")))
    return catalog, engine


@pytest.mark.parametrize(
    ("budget", "places"),
    [(10**6, 16), (260, 16), (259, 15), (250, 15), (249, 14), (111, 1), (110, 1)],
)
async def test_b9_the_batch_is_what_fits(budget: int, places: int) -> None:
    catalog, engine = catalog_of(budget)
    entry = catalog.find("m")
    described = entry.info
    assert (described.max_batch_size, described.memory_bytes) == (places, FIXED + places * EACH)
    lease = await catalog.acquire(entry)
    loaded = engine.models[0].info
    assert (loaded.max_batch_size, loaded.memory_bytes) == (places, described.memory_bytes)
    assert loaded.context_length == described.context_length == 128
    lease.release()
    await catalog.close()


async def test_b9_what_does_not_fit_with_one_place_is_refused_with_the_sum_for_one() -> None:
    catalog, engine = catalog_of(FIXED + EACH - 1)
    entry = catalog.find("m")
    assert (entry.info.max_batch_size, entry.info.memory_bytes) == (1, FIXED + EACH)
    with pytest.raises(LoadFailed, match="memory budget"):
        await catalog.acquire(entry)
    assert engine.loads == 0
    await catalog.close()


@pytest.mark.parametrize("changes", [{"place_bytes": 0}, {"max_batch_size": 1}, {"memory_bytes": 5}])
def test_b9_nothing_else_changes(changes: dict[str, int]) -> None:
    spec = ModelSpec(name="m")
    info = ModelInfo(
        name="m",
        engine="fake",
        capabilities=frozenset(),
        context_length=8,
        max_batch_size=4,
        memory_bytes=FIXED + 4 * EACH,
        place_bytes=EACH,
    )
    info = msgspec.structs.replace(info, **changes)
    assert fitted(spec, info, 5) == (spec, info)


@pytest.mark.parametrize(
    ("budget", "words"),
    [
        (10**12, "MiB\n"),
        (900 << 20, " answers at once, since 4000 do not fit"),
        (1 << 20, "of 1 MiB: too much, it will not load"),
    ],
)
def test_b9_check_does_the_sum(tmp_path: Path, budget: int, words: str) -> None:
    pytest.importorskip("max")
    config = tmp_path / "config.toml"
    config.write_text(
        f'[server]\nmemory_budget = {budget}\n[store]\npath = "{tmp_path / "store"}"\n'
        '[models.tiny]\nsource = "builtin:hyperllama-tiny"\nmax_batch_size = 4000\n'
    )
    shown = CliRunner().invoke(cli, ["--config", str(config), "check"])
    assert shown.exit_code == 0, shown.output
    (line,) = [line for line in shown.output.splitlines(keepends=True) if line.startswith("memory         tiny:")]
    assert words in line

"""Every field of the configuration, with every odd value: a configuration or one line, never anything else."""

from __future__ import annotations

import contextlib
import math
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args, get_type_hints

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hyperllama.config import Config, Section, load
from hyperllama.config.checks import check
from hyperllama.config.convert import convert
from hyperllama.config.schema import Allowance
from hyperllama.errors import ConfigError
from hyperllama.models import ModelSpec

ODD = (
    *("nan", "inf", "-inf", "1e400", "-1", "0", "1e300", "-0.0", "1" + "0" * 30, "true", '""', '"x"'),
    *('"nan"', '"-1"', '"5m"', '"30d"', '"\\u0000"', '"\\n"', '"' + "a" * 300 + '"', "[]", "[[]]", "[1, 'a']", "{}"),
    *("{a = 1}", "{a = {a = nan}}", "2020-01-01", '["a\\nb", "nan"]'),
)
NAMED = {
    "keys.static.me": "hash = 'sha256:" + "0" * 64 + "'",
    "keys.networks.'10.0.0.0/8'": "",
    "keys.jwt": "issuer = 'https://x'\naudience = 'y'",
    "models.m": "",
    "limits.tiers.gold": "",
    "limits.models.'a*'": "",
}


def _structs(hint: Any) -> Iterator[type[msgspec.Struct]]:
    if isinstance(hint, type) and issubclass(hint, msgspec.Struct):
        yield hint
    for arg in get_args(hint):
        yield from _structs(arg)


def places() -> Iterator[tuple[str, str]]:
    for table, kind in get_type_hints(Config).items():
        if isinstance(kind, type) and issubclass(kind, Section):
            for key in get_type_hints(kind):
                yield table, key
    hints = get_type_hints(Config)
    for place in NAMED:
        steps = place.replace("'", "").split(".")
        hint: Any = hints[steps[0]]
        for step in steps[1:]:
            found = next(_structs(hint)) if not isinstance(hint, type) else hint
            fields = get_type_hints(found) if found in (*_structs(hint),) else {}
            hint = fields.get(step, hint)
        for struct in _structs(hint):
            for key in get_type_hints(struct):
                if struct.__name__ in {"StaticKey", "Grant", "Jwt", "ModelSpec", "Allowance"}:
                    yield place, key


PLACES = sorted(set(places()))
TABLES = sorted({table for table, _ in PLACES})


def test_the_tables_are_all_here() -> None:
    assert {"server", "queue", "limits", "models.m", "keys.static.me", "limits.tiers.gold", "keys.jwt"} <= {
        table for table, _ in PLACES
    }
    assert len(PLACES) > 100


def try_to_load(path: Path, text: str) -> Config | None:
    path.write_text(text, "utf-8")
    try:
        return load(path, {})
    except ConfigError as error:
        message = str(error)
        assert message.isprintable()
        assert len(message) <= 2100
        assert str(path) in message
        return None


def numbers(value: object) -> Iterator[float]:
    if isinstance(value, float):
        yield value
    elif isinstance(value, msgspec.Struct):
        for key in value.__struct_fields__:
            yield from numbers(getattr(value, key))
    elif isinstance(value, dict):
        for item in value.values():
            yield from numbers(item)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from numbers(item)


@pytest.mark.parametrize("table", TABLES)
def test_every_field_takes_every_odd_value_or_refuses_it_in_one_line(table: str) -> None:
    head = NAMED.get(table, "")
    for key in (key for where, key in PLACES if where == table):
        lines = "\n".join(line for line in head.splitlines() if not line.startswith(f"{key} ="))
        for odd in ODD:
            try:
                config = convert(tomllib.loads(f"[{table}]\n{lines}\n{key} = {odd}\n"), Config, "file")
                check(config, "file")
            except ConfigError:
                continue
            assert not any(math.isnan(number) for number in numbers(config)), (table, key, odd)


@pytest.mark.parametrize("table", TABLES)
def test_what_is_no_number_is_refused_everywhere(table: str) -> None:
    for key in (key for where, key in PLACES if where == table):
        for value in ("nan", "[-inf]", "{a = inf}"):
            with pytest.raises(ConfigError):
                convert(tomllib.loads(f"[{table}]\n{key} = {value}\n"), Config, "file")


@pytest.mark.parametrize(
    "text",
    [
        "a" + ".a" * 3000 + " = 1",
        "a = " + "[" * 3000 + "]" * 3000,
        "[plugin.x]\na" + ".a" * 3000 + " = 1",
        "[server]\nport = " + "9" * 5000,
        "\x00",
        "[server",
        '[models."a\\nb"]\nmax_batch_size = 0',
        '[models."\\u001b[31m"]\nmax_batch_size = 0',
        '[keys.networks."10.0.0.0/8\\nx"]',
        '[server]\n"po\\nrt" = 1',
        '[server]\n"' + "p" * 100_000 + '" = 1',
    ],
    ids=lambda text: text[:24],
)
def test_a_hostile_file_is_refused_in_one_line(tmp_path: Path, text: str) -> None:
    assert try_to_load(tmp_path / "c.toml", text) is None


@given(
    st.recursive(
        st.one_of(st.floats(), st.integers(), st.booleans(), st.text(max_size=8)),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
        max_leaves=6,
    )
)
@settings(max_examples=100)
def test_any_value_converts_or_is_refused(value: Any) -> None:
    for type_ in (ModelSpec, Allowance, Config):
        for key in type_.__struct_fields__:
            with contextlib.suppress(ConfigError):
                assert isinstance(convert({key: value}, type_, "file"), type_)


def test_durations_are_seconds_wherever_they_are_written(tmp_path: Path) -> None:
    path = tmp_path / "c.toml"
    path.write_text(
        "[server]\nheader_timeout = '1m30s'\ndrain_timeout = 5\nkeep_alive = -1\n"
        "[models.m]\nkeep_alive = '1d'\n[queue]\nmax_wait = '-1'\nembed_max_delay = '5ms'\n"
        "[limits]\ntimeout = '100ms'\n"
        "[batches]\nkeep = '30d'\n[admin]\naudit_keep = '365d'\n[keys]\ngrace = '2h'\ncache = '30s'\n"
    )
    config = load(path, {})
    assert (config.server.header_timeout, config.server.drain_timeout, config.server.keep_alive) == (90, 5, math.inf)
    assert (config.models["m"].keep_alive, config.queue.max_wait, config.queue.embed_max_delay) == (
        86_400,
        math.inf,
        0.005,
    )
    assert (config.limits.timeout, config.batches.keep, config.admin.audit_keep) == (0.1, 2_592_000, 31_536_000)
    assert (config.keys.grace, config.keys.cache) == (7200, 30)


def test_the_file_at_the_top_says_the_same_in_both_spellings() -> None:
    text = (Path(__file__).parents[2] / "config.toml").read_text("utf-8")
    assert tomllib.loads(text)["server"]["keep_alive"] == "5m"
    assert Config().server.keep_alive == 300.0

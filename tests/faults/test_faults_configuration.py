"""Configuration files and model folders that are wrong in every way: one line, and the gateway goes on with the old."""
# mypy: disable-error-code="func-returns-value"

from __future__ import annotations

import asyncio
import contextlib
import copy
import itertools
import json
import math
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, get_args, get_type_hints

import msgspec
import pytest

import hyperllama_builtin
from hyperllama import config as configuration
from hyperllama.app.application import Application, create_app
from hyperllama.app.reload import Reloader
from hyperllama.cli.main import main
from hyperllama.config import Config
from hyperllama.errors import ConfigError

#: TOML literals, each wrong for most keys.
VALUES = (
    '"nonsense"',
    "nan",
    "-nan",
    "inf",
    "-inf",
    "-1",
    "0",
    "1e308",
    "99999999999999999999999",
    "true",
    "[]",
    "[[[]]]",
    "{}",
    "{a = {b = nan}}",
    '""',
    '"\\u0000"',
    '"' + "a" * 300 + '"',
    '"~nobody-here/x"',
    "1979-05-27",
    "07:32:00",
)
BASE = '[plugins]\nenabled = ["sim", "openai", "max"]\n'
GOOD = BASE + '[models.sim]\nengine = "sim"\n'


def keys_of(type_: Any, at: str = "") -> Iterator[str]:
    """Every key of the configuration as a path; of a mapping of tables, one named ``x``."""
    for name, hint in get_type_hints(type_).items():
        path = f"{at}.{name}".lstrip(".")
        yield path
        inner = [hint, *get_args(hint), *(deep for arg in get_args(hint) for deep in get_args(arg))]
        for each in inner:
            if isinstance(each, type) and issubclass(each, msgspec.Struct):
                yield from keys_of(each, path if each is hint or type(None) in get_args(hint) else f"{path}.x")


KEYS = tuple(dict.fromkeys(keys_of(Config)))
#: Whole files.
FILES: dict[str, bytes] = {
    "not text": bytes(range(256)),
    "NUL": b"\0\0\0",
    "UTF-16": GOOD.encode("utf-16"),
    "byte order mark": b"\xef\xbb\xbf" + GOOD.encode(),
    "half a surrogate": b'[store]\npath = "\xed\xa0\x80"\n',
    "no TOML": b"hello\n",
    "an unfinished table": b"[models\n",
    "a key twice": b"[server]\nport = 1\nport = 2\n",
    "a table and a value": b"server = 1\n[server]\nport = 1\n",
    "deep arrays": b"a = " + b"[" * 100_000 + b"]" * 100_000,
    "deep tables": b"[" + b".".join([b"a"] * 20_000) + b"]\n",
    "deep inline tables": b"a = " + b"{a=" * 20_000 + b"1" + b"}" * 20_000,
    "a number of 5000 digits": b"[server]\nport = " + b"9" * 5000 + b"\n",
    "a newline in a name": b'[models."a\\nb"]\nengine = "sim"\nwrong = 1\n',
    "escapes in a name": b'[models."\\u001b[31m\\u0000"]\nengine = "none"\n',
}
#: Tables of one model.
MODELS: dict[str, str] = {
    "no engine of that name": 'engine = "none"',
    "source too long": f'engine = "sim"\nsource = "{"a" * 300}"',
    "source much too long": f'engine = "max"\nsource = "{"a/" * 3000}"',
    "source with NUL": 'engine = "sim"\nsource = "a\\u0000b"',
    "source of nobody": 'engine = "max"\nsource = "~nobody-here/x"',
    "source a loop": 'engine = "max"\nsource = "{folder}/loop"',
    "source in a loop": 'engine = "max"\nsource = "{folder}/loop/x"',
    "source beneath a file": 'engine = "max"\nsource = "{folder}/file/x"',
    "source an empty file": 'engine = "max"\nsource = "{folder}/file"',
    "source an empty folder": 'engine = "max"\nsource = "{folder}/empty"',
    "source a device": 'engine = "max"\nsource = "/dev/null"',
    "Hub reference of nonsense": 'engine = "max"\nsource = "hf:///\\u0000/.."',
    "parser of nobody": 'engine = "sim"\ntool_parser = "nonsense"',
    "reasoning parser of nobody": 'engine = "sim"\nreasoning_parser = "nonsense"',
    "keep_alive nan": 'engine = "sim"\nkeep_alive = nan',
    "keep_alive text": 'engine = "sim"\nkeep_alive = "nan"',
    "options of nonsense": 'engine = "sim"\noptions = {{nonsense = 1}}',
    "options of another type": 'engine = "sim"\noptions = {{tokens_per_second = "x"}}',
    "options nan": 'engine = "sim"\noptions = {{tokens_per_second = nan}}',
    "options deep": 'engine = "sim"\noptions = {{a = {{b = {{c = [[1]]}}}}}}',
    "max options of nonsense": 'engine = "max"\nsource = "{good}"\noptions = {{nonsense = 1}}',
}
#: Changes to a model folder.
FOLDERS: dict[str, Callable[[Path], object]] = {
    "no config": lambda folder: (folder / "config.json").unlink(),
    "config empty": lambda folder: (folder / "config.json").write_bytes(b""),
    "config not UTF-8": lambda folder: (folder / "config.json").write_bytes(b"\xff\xfe\0"),
    "config no object": lambda folder: (folder / "config.json").write_text("[1]"),
    "config deep": lambda folder: (folder / "config.json").write_text('{"a":' * 5000 + "1" + "}" * 5000),
    "config a folder": lambda folder: ((folder / "config.json").unlink(), (folder / "config.json").mkdir()),
    "config a loop": lambda folder: (
        (folder / "config.json").unlink(),
        (folder / "config.json").symlink_to("config.json"),
    ),
    "tokenizer deep": lambda folder: (folder / "tokenizer.json").write_text("[" * 5000 + "]" * 5000),
    "tokenizer config deep": lambda folder: (folder / "tokenizer_config.json").write_text("[" * 5000 + "]" * 5000),
    "tokenizer config empty": lambda folder: (folder / "tokenizer_config.json").write_bytes(b""),
    "tokenizer config no object": lambda folder: (folder / "tokenizer_config.json").write_text("7"),
    "tokenizer config not UTF-8": lambda folder: (folder / "tokenizer_config.json").write_bytes(b"\xff\xfe\0"),
    "template of no text": lambda folder: (folder / "tokenizer_config.json").write_text('{"chat_template": 7}'),
    "weights gone": lambda folder: [path.unlink() for path in folder.glob("*.safetensors")],
    "weights empty": lambda folder: [(path.unlink(), path.touch()) for path in folder.glob("*.safetensors")],
}
NUMBERS = itertools.count()
WRONG: tuple[Any, ...] = ("x", "", -1, 0, 1e400, 1.5, None, True, [], {}, [None], {"a": []}, 10**400)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("models")
    (made / "file").touch()
    (made / "empty").mkdir()
    (made / "loop").symlink_to(made / "loop")
    weights = Path(hyperllama_builtin.__file__).parent / "weights" / "hyperllama-tiny"
    shutil.copytree(weights, made / "good")  # a copy: nothing here writes through a link to the real ones
    return made


def loaded(path: Path, store: Path) -> Config | None:
    """The configuration of a file; None: refused in one line."""
    try:
        return configuration.load(path, {"HYPERLLAMA_STORE_PATH": str(store)})
    except ConfigError as error:
        assert str(error)
        return None


def floats(value: object) -> Iterator[float]:
    match value:
        case float():
            yield value
        case dict():
            for each in value.values():
                yield from floats(each)
        case list() | tuple():
            for each in value:
                yield from floats(each)
        case msgspec.Struct():
            yield from floats(msgspec.structs.asdict(value))


@pytest.mark.parametrize("value", VALUES)
def test_every_key_is_read_or_refused_whatever_its_value(value: str, tmp_path: Path) -> None:
    file = tmp_path / "config.toml"
    for key in KEYS[VALUES.index(value) % 5 :: 5]:
        file.write_text(f"{key} = {value}\n")
        found = loaded(file, tmp_path)
        if found is not None:
            assert not any(map(math.isnan, floats(found))), f"{key} = {value}"


#: Of the cases, which share by default ``check`` takes and which a reload; both take all at night.
HALVES = pytest.mark.parametrize("share", [slice(0, None, 2), pytest.param(slice(None), marks=pytest.mark.nightly)])
OTHERS = pytest.mark.parametrize("share", [slice(1, None, 2), pytest.param(slice(None), marks=pytest.mark.nightly)])


def cases(folder: Path, tmp_path: Path, share: slice) -> Iterator[tuple[str, Path]]:
    """Yield the name and the file of each case of ``share``; its file is written when its turn comes."""
    yield from itertools.islice(every_case(folder, tmp_path), share.start, share.stop, share.step)


def every_case(folder: Path, tmp_path: Path) -> Iterator[tuple[str, Path]]:
    """The name and the file of each case."""
    for name, raw in FILES.items():
        yield name, written(tmp_path, raw)
    for name, table in MODELS.items():
        text = f"{GOOD}[models.wrong]\n{table.format(folder=folder, good=folder / 'good')}\n"
        yield name, written(tmp_path, text.encode())
    for number, key in enumerate(KEYS[::3]):
        value = VALUES[number % len(VALUES)]
        if not key.startswith(("models", "plugin")):
            yield f"{key} = {value}", written(tmp_path, f"{key} = {value}\n{BASE}".encode())
    model = tmp_path / "model"
    for name, change in FOLDERS.items():
        shutil.rmtree(model, ignore_errors=True)
        shutil.copytree(folder / "good", model, symlinks=True)
        change(model)  # replaces files, and writes through no link
        yield name, of_model(tmp_path, model)
    whole: dict[str, Any] = json.loads((folder / "good" / "config.json").read_text())
    shutil.rmtree(model)
    shutil.copytree(folder / "good", model, symlinks=True)
    for number, key in enumerate(whole):
        for wrong in (WRONG[number % len(WRONG)],):
            (model / "config.json").write_text(json.dumps({**copy.deepcopy(whole), key: wrong}))
            yield f"config.json {key} = {wrong!r}"[:60], of_model(tmp_path, model)


def of_model(tmp_path: Path, model: Path) -> Path:
    name = f"wrong-{next(NUMBERS)}"  # the same table again would be no change
    return written(tmp_path, f'{GOOD}[models.{name}]\nengine = "max"\nsource = "{model}"\n'.encode())


def written(tmp_path: Path, raw: bytes) -> Path:
    (tmp_path / "config.toml").write_bytes(raw)
    return tmp_path / "config.toml"


@HALVES
def test_check_says_one_line_whatever_is_wrong(
    share: slice, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("HYPERLLAMA_STORE_PATH", str(tmp_path / "store"))
    refused = 0

    def check(path: Path, name: str) -> None:
        nonlocal refused
        monkeypatch.setattr(sys, "argv", ["hyperllama-gateway", "--config", str(path), "check"])
        with pytest.raises(SystemExit) as ended:
            main()
        said = capsys.readouterr().err
        assert ended.value.code in (0, 2), (name, ended.value.code, said[-500:])
        if ended.value.code == 2:
            refused += 1
            assert said.startswith("hyperllama-gateway: "), name
            assert said.count("\n") == 1 and said.endswith("\n") and len(said) < 3000, (name, said)

    for name, path in cases(folder, tmp_path, share):
        check(path, name)
    for odd in (tmp_path, tmp_path / "missing", folder / "loop", tmp_path / ("a" * 300), Path("/dev/null/x")):
        check(odd, str(odd)[-20:])
    assert refused > 30


@OTHERS
async def test_a_reload_refuses_what_the_start_refuses_and_takes_the_next_good_file(
    share: slice, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HYPERLLAMA_STORE_PATH", str(tmp_path / "store"))
    path = written(tmp_path, GOOD.encode())
    app = create_app(configuration.load(path))
    reloader = Reloader(app, path)
    watching = asyncio.create_task(reloader.watch())
    count = 0
    for name, file in cases(folder, tmp_path, share):
        took = await reloader.reload()
        assert not took or can_start(file), name
        count += not took
        assert not watching.done()
    written(tmp_path, GOOD.replace("sim]", "next]").encode())
    assert await reloader.reload()
    assert app.catalog.knows("next")
    assert not watching.done()
    watching.cancel()
    await asyncio.gather(watching, return_exceptions=True)
    await app.storage.database.close()
    assert count > 30


def can_start(path: Path) -> bool:
    with contextlib.suppress(ConfigError):
        create_app(configuration.load(path))
        return True
    return False


class _Broken:
    """An application whose catalog raises what nobody foresaw."""

    def __init__(self, app: Application, error: BaseException) -> None:
        self._app, self._error = app, error

    def __getattr__(self, name: str) -> Any:
        if name == "catalog":
            raise self._error
        return getattr(self._app, name)


@pytest.mark.parametrize("error", [TypeError("x"), OSError("y"), RecursionError(), MemoryError(), KeyError("z")])
async def test_whatever_a_reload_raises_is_logged_and_the_next_good_file_is_applied(
    error: Exception, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HYPERLLAMA_STORE_PATH", str(tmp_path / "store"))
    path = written(tmp_path, GOOD.encode())
    app = create_app(configuration.load(path))
    reloader = Reloader(_Broken(app, error), path)  # type: ignore[arg-type]
    monkeypatch.setattr("hyperllama.app.reload.INTERVAL", 0.01)
    watching = asyncio.create_task(reloader.watch())
    written(tmp_path, GOOD.replace("sim]", "next]").encode())
    assert not await reloader.reload()
    monkeypatch.setattr(reloader, "_app", app)
    reloader.request()
    async with asyncio.timeout(60):
        while not app.catalog.knows("next"):
            assert not watching.done()
            await asyncio.sleep(0.01)
    watching.cancel()
    await asyncio.gather(watching, return_exceptions=True)
    await app.storage.database.close()

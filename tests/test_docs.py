"""What is written down is there, and what is there is written down: hooks, settings, commands, the page for plugins."""

from __future__ import annotations

import ast
import inspect
import re
import sys
import tomllib
from importlib import import_module
from importlib.metadata import EntryPoint
from pathlib import Path
from types import ModuleType
from typing import Any

import click
import httpx
import msgspec
import pytest

from hyperllama import hookspecs
from hyperllama.app import plugins
from hyperllama.app.application import create_app
from hyperllama.cli.commands import cli
from hyperllama.config import Config, Store, load
from hyperllama.models import ModelSpec
from hyperllama.testing.serving import served

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "core" / "PLUGINS.md").read_text("utf-8")
README = (ROOT / "README.md").read_text("utf-8")
CONFIG = (ROOT / "config.toml").read_text("utf-8")
FILES = dict(re.findall(r"`([\w.]+)`:\n\n```\w+\n(.*?)```", PAGE, re.DOTALL))
HOOKS = {name: hook for name, hook in vars(hookspecs).items() if name.startswith("hyperllama_")}
#: Tables whose keys are names that the user chooses.
NAMED = {"models", "plugin"}
#: Settings of plugins, by the table of the plugin.
SETTINGS = {
    "anthropic": "hyperllama_anthropic.settings:Settings",
    "max": "hyperllama_max.settings:MaxSettings",
    "ollama": "hyperllama_ollama.settings:Settings",
    "openai": "hyperllama_openai.settings:Settings",
    "otel": "hyperllama_otel.settings:OtelSettings",
}


def module_of(name: str) -> ModuleType:
    """Return a file of the page, as a module."""
    module = ModuleType(name)
    sys.modules[name] = module
    exec(compile(FILES[f"{name}.py"], f"PLUGINS.md/{name}.py", "exec"), vars(module))  # noqa: S102 - our own page
    return module


REVERSE, PLAIN = module_of("hyperllama_reverse"), module_of("hyperllama_plain")
TestReverse = module_of("test_reverse").TestReverse
TestPlain = module_of("test_plain").TestPlain


async def test_the_plugins_of_the_page_answer_over_http(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    project = tomllib.loads(FILES["pyproject.toml"])["project"]["entry-points"]["hyperllama"]
    (line,) = re.findall(r"second entry point \(`(.*?)`\)", PAGE)
    (models,) = re.findall(r"```toml\n(\[models.*?)```", PAGE, re.DOTALL)
    entries = [EntryPoint(name, value, hookspecs.PROJECT) for name, value in {**project, **tomllib.loads(line)}.items()]
    found = plugins.installed()
    monkeypatch.setattr(plugins, "installed", lambda: [*found, *entries])
    specs = {
        name: msgspec.convert({"name": name, **table}, ModelSpec)
        for name, table in tomllib.loads(models)["models"].items()
    }
    (asked,) = re.findall(r"(/plain/ask) -d '(.*?)'", PAGE)
    (printed,) = re.findall(r"prints `(.*?)`", PAGE)
    app = create_app(Config(models=specs, store=Store(path=str(tmp_path))))
    async with served(app) as url, httpx.AsyncClient(base_url=url) as client:
        answer = await client.post(asked[0], content=asked[1])
        assert (answer.status_code, answer.text) == (200, f"{printed}\n")
        refused = await client.post(asked[0], json={"model": "mirror"})
        assert (refused.status_code, "question" in refused.text) == (400, True)
        body = {"model": "mirror", "messages": [{"role": "user", "content": "a b"}]}
        assert (await client.post("/v1/chat/completions", json=body)).json()["choices"][0]["message"][
            "content"
        ] == "b a"


def test_the_page_has_every_hook_with_its_signature() -> None:
    source = ast.parse(inspect.getsource(hookspecs))
    signatures = [
        f"{each.name}({ast.unparse(each.args)}) -> {ast.unparse(each.returns)}"
        for each in source.body
        if isinstance(each, ast.FunctionDef) and each.returns is not None
    ]
    assert re.findall(r"^### `(.*)`$", PAGE, re.MULTILINE) == signatures
    assert len(signatures) == len(HOOKS)


def test_every_user_of_a_hook_on_the_page_implements_it() -> None:
    for name, users in re.findall(r"^### `(\w+)\(.*?Used by (.*?)\.\n", PAGE, re.MULTILINE | re.DOTALL):
        paths = [ROOT / path for path in re.findall(r"`([\w/-]+/[\w/-]*)`", users)]
        assert paths, name
        for path in paths:
            assert any(f"def {name}(" in each.read_text("utf-8") for each in path.rglob("__init__.py")), (name, path)


def test_the_readme_lists_every_hook() -> None:
    assert sorted(set(re.findall(r"`(hyperllama_\w+)`", README))) == sorted(HOOKS)


@pytest.mark.parametrize("name", HOOKS)
def test_a_hook_explains_every_argument_and_its_age(name: str) -> None:
    text = inspect.getdoc(HOOKS[name]) or ""
    assert re.findall(r":param (\w+): \S", text) == list(inspect.signature(HOOKS[name]).parameters)
    assert ".. versionadded:: " in text


def test_the_page_lists_what_plugins_may_import() -> None:
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]["importlinter"]["contracts"]
    public = next(each for each in contracts if each["type"] == "public_api")
    assert re.findall(r"^\| `(hyperllama\.\w+)` \|", PAGE, re.MULTILINE) == [*public["public"], *public["faces"]]


def keys_in(table: str) -> set[str]:
    """Return the keys of a table of config.toml, those that are commented out with them."""
    body = f"\n{CONFIG}".split(f"\n[{table}]", 1)[1].split("\n[", 1)[0]
    return set(re.findall(r"^(?:# )?(\w+) = ", body, re.MULTILINE))


@pytest.mark.parametrize("table", [each for each in Config.__struct_fields__ if each not in NAMED])
def test_every_setting_is_in_the_configuration_at_the_top(table: str) -> None:
    default = getattr(Config(), table)
    assert keys_in(table) == set(default.__struct_fields__)
    assert getattr(load(ROOT / "config.toml", {}), table) == default, "what is written there is the default"


@pytest.mark.parametrize("plugin", SETTINGS)
def test_every_setting_of_a_plugin_is_in_the_configuration_at_the_top(plugin: str) -> None:
    if plugin == "max":
        pytest.importorskip("max", reason="the extra max is not installed")
    module, _, name = SETTINGS[plugin].partition(":")
    settings: Any = getattr(import_module(module), name)
    assert keys_in(f"plugin.{plugin}") == set(settings.__struct_fields__)
    assert load(ROOT / "config.toml", {}).section(plugin, settings) == settings()


def test_every_plugin_with_settings_is_held_to_that() -> None:
    places = [*(ROOT / "protocols").glob("*/settings.py"), *(ROOT / "plugins").glob("*/settings.py")]
    with_table = [path for path in places if "[plugin." in path.read_text("utf-8") or path.parts[-3] == "protocols"]
    assert sorted(path.parent.name.removeprefix("hyperllama_") for path in with_table) == sorted(SETTINGS)


def test_every_command_is_in_the_readme_and_explains_itself() -> None:
    def walk(command: click.Command, words: tuple[str, ...]) -> list[tuple[tuple[str, ...], click.Command]]:
        below = command.commands.items() if isinstance(command, click.Group) else ()
        return [(words, command), *(each for name, child in below for each in walk(child, (*words, name)))]

    for words, command in walk(cli, ()):
        assert re.match(r"[A-Z].*\.", command.help or ""), words
        assert not words or re.search(rf"\b{words[0]}\b", README), f"{words[0]} is not in README.md"
        for option in (each for each in command.params if isinstance(each, click.Option)):
            assert re.match(r"[A-Z].*\.\Z", option.help or "", re.DOTALL), (words, option.name)

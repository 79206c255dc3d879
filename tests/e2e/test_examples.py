"""What a stranger builds: a plugin package after ``pip install``, the client scripts, and the README word by word."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from hyperllama.cli.commands import cli
from hyperllama.config import load

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text("utf-8")
BLOCKS = re.findall(r"```(\w+)\n(.*?)```", README, re.DOTALL)


def install(package: Path, target: Path) -> None:
    """As a stranger would, without a network."""
    command = [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--no-build-isolation", "--no-index"]
    done = subprocess.run(
        [*command, "--disable-pip-version-check", "--target", str(target), str(package)],
        capture_output=True,
        text=True,
        timeout=110,
    )
    assert done.returncode == 0, done.stderr


def copied(package: Path, target: Path) -> Path:
    """A copy to build from: building leaves nothing in the checkout."""
    for source in package.rglob("*"):
        if source.is_file() and "__pycache__" not in source.parts:
            (target / source.relative_to(package)).parent.mkdir(parents=True, exist_ok=True)
            (target / source.relative_to(package)).write_bytes(source.read_bytes())
    return target


def test_a_strangers_engine_works_after_pip_install(tmp_path: Path, start: Callable[..., Any]) -> None:
    install(copied(ROOT / "examples" / "hyperllama-echo", tmp_path / "source"), tmp_path / "site")
    gateway = start("[server]\nport = 0\n[models.parrot]\nengine = 'echo'\n", PYTHONPATH=str(tmp_path / "site"))
    body = {"model": "parrot", "messages": [{"role": "user", "content": "polly wants a cracker"}]}
    theirs = httpx.post(f"{gateway.url}/v1/chat/completions", json=body).json()
    ours = httpx.post(f"{gateway.url}/api/chat", json={**body, "stream": False}).json()
    assert theirs["choices"][0]["message"]["content"] == ours["message"]["content"] == "polly wants a cracker"
    assert theirs["usage"]["completion_tokens"] == ours["eval_count"] == 4


@pytest.mark.nightly
def test_a_strangers_engine_passes_its_own_tests(tmp_path: Path) -> None:
    source = copied(ROOT / "examples" / "hyperllama-echo", tmp_path / "source")
    install(source, tmp_path / "site")
    options = ["-c", os.devnull, "--rootdir", str(source), "--import-mode=importlib", "-o", "asyncio_mode=auto"]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", *options, str(source / "tests")],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(tmp_path / "site")},
        timeout=110,
    )
    assert done.returncode == 0, done.stdout
    assert " passed" in done.stdout


def test_the_plugin_of_the_readme_works(tmp_path: Path, start: Callable[..., Any]) -> None:
    code = next(text for language, text in BLOCKS if language == "python" and "hookimpl" in text)
    entry = next(text for language, text in BLOCKS if language == "toml" and "entry-points" in text)
    assert len(code.strip().splitlines()) <= 22
    source = tmp_path / "source"
    source.mkdir()
    (source / "hyperllama_shout.py").write_text(code)
    (source / "pyproject.toml").write_text(
        "[build-system]\nrequires = ['hatchling']\nbuild-backend = 'hatchling.build'\n"
        f"[project]\nname = 'hyperllama-shout'\nversion = '1'\n{entry}"
        "[tool.hatch.build.targets.wheel]\nonly-include = ['hyperllama_shout.py']\n"
    )
    install(source, tmp_path / "site")
    config = "[server]\nport = 0\n[models.sim]\nengine = 'sim'\n[models.sim.options]\ntext = 'quiet words'\n"
    gateway = start(config, PYTHONPATH=str(tmp_path / "site"))
    answer = httpx.post(f"{gateway.url}/api/generate", json={"model": "sim", "prompt": "x", "stream": False}).json()
    assert answer["response"] == "QUIET WORDS"


def test_a_plugins_command_is_one_of_ours(tmp_path: Path) -> None:
    site = tmp_path / "site"
    info = site / "hyperllama_greet-1.dist-info"
    info.mkdir(parents=True)
    (site / "hyperllama_greet.py").write_text(
        "import click\nfrom types import SimpleNamespace\nfrom hyperllama import hookimpl\n"
        "@click.command()\n@click.pass_obj\ndef greet(config):\n    'Say hello.'\n    click.echo(f'hello {config}')\n"
        "@hookimpl\ndef hyperllama_commands():\n    return (SimpleNamespace(command=greet),)\n"
    )
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: hyperllama-greet\nVersion: 1\n")
    (info / "entry_points.txt").write_text("[hyperllama]\ngreet = hyperllama_greet\n")
    (tmp_path / "config.toml").write_text("[server]\nport = 0\n")

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "hyperllama", *arguments]
        env = {**os.environ, "PYTHONPATH": str(site)}
        return subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, env=env, timeout=60)

    assert run("--config", "config.toml", "greet").stdout == "hello config.toml\n"
    assert "Say hello." in run("--help").stdout
    unknown = run("nothing-of-that-name")
    assert unknown.returncode == 2
    assert "No such command" in unknown.stderr


def test_a_plugin_that_does_not_import_keeps_the_gateway_from_starting(tmp_path: Path) -> None:
    site = tmp_path / "site"
    info = site / "hyperllama_bad-1.dist-info"
    info.mkdir(parents=True)
    (site / "hyperllama_bad.py").write_text("import nothing_of_that_name\n")
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: hyperllama-bad\nVersion: 1\n")
    (info / "entry_points.txt").write_text("[hyperllama]\nbad = hyperllama_bad\n")
    env = {**os.environ, "PYTHONPATH": str(site), "HYPERLLAMA_SERVER_PORT": "0"}
    command = [sys.executable, "-m", "hyperllama"]
    served = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, env=env, timeout=60)
    assert served.returncode == 2
    assert "plugin 'bad' of distribution 'hyperllama-bad' did not load: ModuleNotFoundError" in served.stderr
    doctor = subprocess.run(
        [*command, "plugins", "doctor"], capture_output=True, text=True, cwd=tmp_path, env=env, timeout=60
    )
    assert doctor.returncode == 1
    assert "bad (hyperllama-bad 1, hyperllama_bad): ModuleNotFoundError" in doctor.stdout


@pytest.mark.parametrize("script", ["ollama_chat.py", "openai_chat.py"])
def test_the_client_scripts_run(script: str, sim: Any) -> None:
    done = subprocess.run(
        [sys.executable, str(ROOT / "examples" / "clients" / script), sim.url, "sim"],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    whole, streamed = done.stdout.splitlines()
    assert whole == streamed != ""


def here(text: str, url: str) -> str:
    """A README snippet pointed at a test's gateway."""
    return text.replace("http://127.0.0.1:11434", url).replace("hyperllama-tiny", "sim")


@pytest.mark.parametrize(
    "snippet", [text for language, text in BLOCKS if (language == "python" and "Client" in text) or "OpenAI(" in text]
)
def test_the_clients_of_the_readme_run(snippet: str, sim: Any) -> None:
    done = subprocess.run([sys.executable, "-c", here(snippet, sim.url)], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip()


@pytest.mark.parametrize("snippet", [text for language, text in BLOCKS if language == "sh" and text.startswith("curl")])
def test_the_curl_commands_of_the_readme_run(snippet: str, sim: Any) -> None:
    done = subprocess.run(shlex.split(here(snippet, sim.url)), capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert '"content"' in done.stdout


def test_the_commands_of_the_readme_exist() -> None:
    commands = re.findall(r"`?hyperllama-gateway((?: --?[\w-]+(?: config\.toml)?)*(?: [a-z]+)*)", README)
    assert commands
    for words in commands:
        command: Any = cli
        for word in [word for word in words.split() if not word.startswith("-") and word != "config.toml"]:
            command = getattr(command, "commands", {}).get(word, command)
        assert command is not None
    assert "pip install -e '.[max]' && hyperllama-gateway --config config.toml" in README
    assert "pip install -e '.[max,test]' && pytest" in README


def test_the_configuration_of_the_readme_is_valid(tmp_path: Path) -> None:
    text = next(text for language, text in BLOCKS if language == "toml" and "[server]" in text)
    path = tmp_path / "config.toml"
    path.write_text(text)
    assert load(path, {}).models["llama"].source.startswith("hf:")


def test_the_extras_of_the_readme_exist() -> None:
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    for names in re.findall(r"'\.\[([\w,]+)\]'", README):
        assert set(names.split(",")) <= set(extras)

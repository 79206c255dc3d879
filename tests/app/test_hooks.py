"""Every hook, through a plugin that ships: the built-in ones, or examples/hyperllama-policy."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

import httpx
import pytest
import structlog

from hyperllama import hookspecs
from hyperllama.app import plugins
from hyperllama.app.application import create_app
from hyperllama.app.plugins import Plugins
from hyperllama.config import Config, PluginChoice, Store, load
from hyperllama.errors import ConfigError
from hyperllama.models import ModelSpec
from hyperllama.testing.serving import served

EXAMPLE = Path(__file__).parents[2] / "examples" / "hyperllama-policy"
HOOKS = sorted(name.removeprefix("hyperllama_") for name in vars(hookspecs) if name.startswith("hyperllama_"))


@pytest.fixture
def policy(monkeypatch: pytest.MonkeyPatch) -> None:
    """The example, as if it were installed."""
    monkeypatch.syspath_prepend(str(EXAMPLE))
    found = plugins.installed()
    entry = EntryPoint("policy", "hyperllama_policy", hookspecs.PROJECT)
    monkeypatch.setattr(plugins, "installed", lambda: [*found, entry])


def config_of(tmp_path: Path, **settings: Any) -> Config:
    spec = ModelSpec(name="sim", engine="sim", reasoning_parser="mask-digits", options={"text": "in room 42 at 7"})
    plugin = {"policy": settings} if settings else {}
    return Config(models={"sim": spec}, store=Store(path=str(tmp_path)), plugin=plugin)


def chat(text: str, **fields: Any) -> dict[str, Any]:
    return {"model": "sim", "messages": [{"role": "user", "content": text}], **fields}


async def ask(config: Config, body: dict[str, Any], key: str = "") -> httpx.Response:
    headers = {"authorization": f"Bearer {key}"} if key else {}
    async with served(create_app(config)) as url, httpx.AsyncClient(base_url=url, headers=headers) as client:
        return await client.post("/v1/chat/completions", json=body)


def test_every_hook_has_a_test_here() -> None:
    assert len(HOOKS) >= 10
    assert [hook for hook in HOOKS if f"test_hook_{hook}" not in globals()] == []


def test_every_hook_has_a_shipped_implementation(policy: None) -> None:
    implemented = {hook for fact in plugins.inspect(Config()) for hook in fact.hooks}
    assert {f"hyperllama_{hook}" for hook in HOOKS} <= implemented


def test_a_disabled_plugin_keeps_its_table_and_an_unknown_one_has_none() -> None:
    disabled = PluginChoice(disabled=("openai",))
    assert "openai" not in Plugins(Config(plugins=disabled, plugin={"openai": {"max_n": 2}})).protocols()
    with pytest.raises(ConfigError, match=r"\[plugin\.opanai\]: There is no plugin of that name; there are .*openai"):
        Plugins(Config(plugin={"opanai": {}}))


def test_hook_environment() -> None:
    assert load(None, {"OLLAMA_HOST": "10.0.0.1:5"}).server.port == 5
    disabled = {"OLLAMA_HOST": "10.0.0.1:5", "HYPERLLAMA_PLUGINS_DISABLED": "ollama"}
    assert load(None, disabled).server.port == Config().server.port


def test_hook_engines() -> None:
    assert {"max", "sim"} <= Plugins(Config()).engines().keys()


def test_hook_protocols() -> None:
    assert {"anthropic", "ollama", "openai"} <= Plugins(Config()).protocols().keys()


def test_hook_observers(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("opentelemetry.sdk", reason="the extra otel is not installed")
    assert Plugins(Config()).observers() == []
    config = Config(plugin={"otel": {"endpoint": "http://127.0.0.1:9"}})
    assert [type(observer).__name__ for observer in Plugins(config).observers()] == ["Spans"]


def test_hook_model_sources() -> None:
    assert {"builtin", "hf"} <= Plugins(Config()).model_sources().keys()


def test_hook_commands() -> None:
    assert "bench" in {command.command.name for command in Plugins(Config()).commands()}


async def test_hook_auth_providers(policy: None, tmp_path: Path) -> None:
    config = config_of(tmp_path, pass_phrase="swordfish")
    assert (await ask(config, chat("hi"), key="swordfish")).status_code == 200
    assert (await ask(config, chat("hi"), key="another")).status_code == 401


async def test_hook_gates(policy: None, tmp_path: Path) -> None:
    config = config_of(tmp_path, max_prompt_tokens=100)
    assert (await ask(config, chat("hi"))).status_code == 200
    refused = await ask(config, chat("word " * 1000))
    assert (refused.status_code, "at most 100 tokens" in refused.text) == (400, True)


async def test_hook_stages(policy: None, tmp_path: Path) -> None:
    answer = await ask(config_of(tmp_path, max_answer_tokens=3), chat("hi", max_tokens=50))
    assert answer.json()["usage"]["completion_tokens"] == 3
    assert answer.json()["choices"][0]["finish_reason"] == "length"


async def test_hook_transforms(policy: None, tmp_path: Path) -> None:
    answer = await ask(config_of(tmp_path), chat("hi"))
    assert answer.json()["choices"][0]["message"]["content"] == "in room \u2022\u2022 at \u2022"


@pytest.fixture
def events() -> Iterator[list[Any]]:
    with structlog.testing.capture_logs() as found:
        yield found


async def test_hook_lifespan(policy: None, tmp_path: Path, events: list[Any]) -> None:
    async with served(create_app(config_of(tmp_path))):
        assert [event["event"] for event in events if event["event"].startswith("policy")] == ["policy is in force"]
    (begun, ended) = [event for event in events if event["event"].startswith("policy")]
    assert "sim" in begun["models"]
    assert ended["event"] == "policy ends"

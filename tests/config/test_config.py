"""The configuration file: what it accepts, and the one line it gives for what it does not."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from hyperllama.config import Config, load
from hyperllama.errors import ConfigError
from hyperllama.models import ModelSpec

ROOT = Path(__file__).parents[2]
COMMENTED = re.findall(r"^# (\w+ = [^#\n]+)", (ROOT / "config.toml").read_text("utf-8"), re.MULTILINE)


def write(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "config.toml"
    path.write_text(text)
    return path


def test_the_configuration_at_the_top_loads_and_says_what_the_defaults_are() -> None:
    config = load(ROOT / "config.toml", {})
    assert config.server == Config().server
    assert config.models["hyperllama-tiny"].source == "builtin:hyperllama-tiny"


def test_the_configuration_at_the_top_names_every_setting_and_its_default() -> None:
    text = (ROOT / "config.toml").read_text("utf-8")
    config, default = load(ROOT / "config.toml", {}), Config()
    for table in ("server", "keys", "limits", "queue", "store", "logs", "metrics", "plugins"):
        assert getattr(config, table) == getattr(default, table), table
        body = text.split(f"\n[{table}]", 1)[1].split("\n[", 1)[0]
        for key in getattr(default, table).__struct_fields__:
            assert re.search(rf"^(# )?{key} = ", body, re.MULTILINE), f"{table}.{key}"
    model = text.split("\n[models.hyperllama-tiny]", 1)[1].split("\n[", 1)[0]
    for key in ModelSpec.__struct_fields__:
        assert key == "name" or re.search(rf"^(# )?(\[models.hyperllama-tiny\.)?{key}( = |\])", model, re.MULTILINE), (
            key
        )


@pytest.mark.parametrize("line", [line for line in COMMENTED if " = " in line and "<64 hex" not in line])
def test_what_the_configuration_at_the_top_has_commented_out_is_valid(tmp_path: Path, line: str) -> None:
    text = (ROOT / "config.toml").read_text("utf-8")
    assert load(write(tmp_path, text.replace(f"# {line}", line)), {}) is not None


def test_without_a_file_there_are_defaults() -> None:
    assert load(None, {}).server.port == 11434


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("[server]\nprot = 1", "[server]: Unknown key 'prot'; did you mean 'port'?"),
        ("[modls.x]", "Unknown key 'modls'; did you mean 'models'?"),
        ("[models.tiny]\nsorce = 'a'", "[models.tiny]: Unknown key 'sorce'; did you mean 'source'?"),
        ("[server]\nport = 'x'", "server.port: Expected `int`, got `str`"),
        ("[server]\nport = 70000", "server.port: Must be at most 65535, not 70000."),
        ("[server]\nkeep_alive = '5x'", "server.keep_alive: '5x' is not a duration. Write seconds (300), or"),
        ("[models.a]\nmax_batch_size = 0", "models.a.max_batch_size: Must be at least 1, not 0."),
        ("[models.a]\naliases = ['b']\n[models.b]", "models.b: 'b' already names model 'a'"),
        ("[logs]\nlevel = 'loud'", "logs.level: Must be one of debug, info, warning, error, not 'loud'."),
        ("[server", "Not valid TOML"),
    ],
)
def test_a_bad_file_says_where_and_what_in_one_line(tmp_path: Path, text: str, sentence: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load(write(tmp_path, text), {})
    assert sentence in str(caught.value)
    assert "\n" not in str(caught.value)
    assert str(tmp_path) in str(caught.value)


def test_the_environment_overrides_the_file(tmp_path: Path) -> None:
    path = write(tmp_path, "[server]\nport = 1\n[logs]\nlevel = 'info'")
    environ = {
        "HYPERLLAMA_SERVER_PORT": "2",
        "HYPERLLAMA_LOGS_LEVEL": "debug",
        "HYPERLLAMA_SERVER_CORS_ORIGINS": "https://a.example,https://b.example",
    }
    config = load(path, environ)
    assert (config.server.port, config.logs.level) == (2, "debug")
    assert config.server.cors_origins == ("https://a.example", "https://b.example")


@pytest.mark.parametrize(
    ("value", "host", "port"),
    [
        ("10.0.0.1", "10.0.0.1", 11434),
        ("10.0.0.1:8080", "10.0.0.1", 8080),
        (":8080", "0.0.0.0", 8080),
        ("http://h", "h", 80),
        ("https://h", "h", 443),
        ("h:99999", "h", 11434),
        ("[::1]:8080", "::1", 8080),
        ('"127.0.0.1:1"', "127.0.0.1", 1),
    ],
)
def test_ollama_host_means_what_ollama_says(value: str, host: str, port: int) -> None:
    server = load(None, {"OLLAMA_HOST": value}).server
    assert (server.host, server.port) == (host, port)


def test_ours_wins_over_ollamas_variable() -> None:
    server = load(None, {"OLLAMA_HOST": "10.0.0.1:5", "HYPERLLAMA_SERVER_PORT": "6"}).server
    assert (server.host, server.port) == ("10.0.0.1", 6)


def test_ollama_keep_alive_may_be_plain_seconds() -> None:
    assert load(None, {"OLLAMA_KEEP_ALIVE": "60"}).server.keep_alive == 60.0
    assert load(None, {"OLLAMA_ORIGINS": '"https://a.example, https://b.example"'}).server.cors_origins == (
        "https://a.example",
        "https://b.example",
    )

"""Any server can be driven, whatever it speaks; what it refuses is said or counted."""

from __future__ import annotations

import hashlib
import json
import random
import socket
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from hyperllama.errors import ConfigError
from hyperllama.testing import child
from hyperllama_bench.command import bench
from hyperllama_bench.endpoint import read
from hyperllama_bench.load import Shot

KEY = "sk-driven"
CONFIG = f"""
[server]
port = 0
[plugins]
disabled = ["builtin"]
[models.a-model-without-chat]
engine = "sim"
[models.a-model-without-chat.options]
embedding = 8
capabilities = ["embedding"]
[models.sim]
engine = "sim"
[models.sim.options]
answer_tokens = 50
[keys]
required = true
[keys.static.driver]
hash = "sha256:{hashlib.sha256(KEY.encode()).hexdigest()}"
"""


@pytest.fixture(scope="module")
def server() -> Iterator[child.Server]:
    with child.gateway(CONFIG) as running:
        yield running


def _bench(*options: str, key: str = KEY) -> Result:
    arguments = [*options, "--key", key, "--tokens", "6", "--requests", "4", "--prompt-tokens", "9"]
    return CliRunner().invoke(bench, arguments)


@pytest.mark.parametrize(("path", "dialect"), [("/v1", "openai"), ("", "ollama")])
def test_both_dialects_are_driven_in_a_closed_loop(
    server: child.Server, path: str, dialect: str, tmp_path: Path
) -> None:
    url = f"http://127.0.0.1:{server.port}{path}"
    result = _bench("--url", url, "--streams", "1,3", "--out", str(tmp_path))
    assert result.exception is None, result.output
    assert "1 streams, 9+6" in result.output
    found = json.loads((tmp_path / "drive.json").read_text())
    assert [row["streams"] for row in found["rows"]] == [1, 3]
    for row in found["rows"]:
        assert (row["tokens"], row["tokens_each"], row["errors"]) == (24, 6, 0)
        assert row["prompt_tokens_each"] > 5
        assert 0 < row["ttft_p50_ms"] <= row["ttft_p99_ms"] <= row["whole_p99_ms"]
        assert row["cpu_us_per_token"] >= 0, "the server runs on this machine"
    assert dialect in found["settings"][f"model at 127.0.0.1:{server.port}"]
    assert "<svg" in (tmp_path / "drive.html").read_text()


def test_in_an_open_loop_requests_come_at_their_rate(server: child.Server, tmp_path: Path) -> None:
    url = f"http://127.0.0.1:{server.port}/v1"
    result = _bench("--url", url, "--rate", "50", "--seed", "1", "--out", str(tmp_path))
    assert result.exception is None, result.output
    row = json.loads((tmp_path / "drive.json").read_text())["rows"][0]
    assert (row["rate"], row["tokens"], row["errors"]) == (50, 24, 0)
    chance = random.Random(1)
    for _ in range(4 * 9):
        chance.random()  # the words
    due = sum(chance.expovariate(50) for _ in range(3))
    assert row["requests_per_second"] <= 4 / due, "none is sent before it is due"


def test_two_servers_are_taken_in_turns_and_compared(server: child.Server, tmp_path: Path) -> None:
    url = f"http://127.0.0.1:{server.port}"
    options = ("--url", url, "--against", f"{url}/v1", "--key", KEY, "--rounds", "2", "--streams", "2")
    result = _bench(*options, "--out", str(tmp_path))
    assert result.exception is None, result.output
    found = json.loads((tmp_path / "drive-against.json").read_text())
    assert [row["server"][0] for row in found["rows"]] == ["A", "B", "A", "B"]
    ours, theirs, ratio = found["summary"]
    assert ratio["tokens_per_second"] == pytest.approx(ours["tokens_per_second"] / theirs["tokens_per_second"])


def test_a_key_given_once_does_not_reach_the_second_server(server: child.Server) -> None:
    url = f"http://127.0.0.1:{server.port}/v1"
    result = _bench("--url", url, "--against", url)
    assert isinstance(result.exception, ConfigError)
    assert "401" in str(result.exception)


@pytest.mark.parametrize(
    ("options", "key", "said"),
    [
        (("--name", "sim"), "sk-wrong", "401"),
        (("--name", "nosuch"), KEY, "404"),
        ((), "sk-wrong", "401"),
    ],
)
def test_what_the_server_refuses_at_once_is_said_in_one_line(
    server: child.Server, options: tuple[str, ...], key: str, said: str
) -> None:
    result = _bench("--url", f"http://127.0.0.1:{server.port}/v1", *options, key=key)
    assert isinstance(result.exception, ConfigError)
    assert said in str(result.exception)
    assert "\n" not in str(result.exception)


def test_nobody_there_and_https_are_said_in_one_line() -> None:
    with closing(socket.socket()) as held:
        held.bind(("127.0.0.1", 0))  # nobody listens at a port that is only held
        result = _bench("--url", f"http://127.0.0.1:{held.getsockname()[1]}/v1")
    assert isinstance(result.exception, ConfigError)
    assert "refused" in str(result.exception)
    assert "Must be a server at http://" in str(_bench("--url", "https://127.0.0.1/v1").exception)


@pytest.mark.parametrize(
    ("body", "error"),
    [
        (b'data: {"choices":[{"delta":{"content":"a"}}]}\n\ndata: {"error":{"message":"the engine died"}}\n\n', "died"),
        (b'{"message":{"content":"a"}}\n{"error":"the engine died"}\n', "died"),
        (b'data: {"choices":[{"delta":{"content":"a"}}]}\n\n', "before its last event"),
        (b'data: {"choices":\n\n', "cannot be read"),
    ],
)
def test_an_error_inside_a_stream_is_an_error(body: bytes, error: str) -> None:
    shot = Shot(began=1.0, first=2.0, ended=3.0, status=200, head=b"http/1.1 200 ok", body=body)
    shot.arrivals = [(len(body), 2.0)]
    assert error in read(shot).error


def test_times_are_those_of_text_and_tokens_those_of_the_server() -> None:
    parts = (
        b'data: {"choices":[{"delta":{"role":"assistant","content":"","tool_calls":null}}],"error":null}\n\n',
        b'data: {"choices":[{"delta":{"content":"a"}}]}\n\ndata: {"choices":[{"delta":{"content":"b"}}]}\n\n',
        b'data: {"choices":[{"delta":{"content":"c"},"finish_reason":"length"}]}\n\n',
        b'data: {"choices":[],"usage":{"completion_tokens":7,"prompt_tokens":9}}\n\ndata: [DONE]\n\n',
    )
    shot = Shot(began=1.0, first=2.0, ended=9.0, status=200, head=b"http/1.1 200 ok\r\ntransfer-encoding: chunked")
    for at, part in enumerate(parts):
        shot.body += b"%x\r\n%b\r\n" % (len(part), part)
        shot.arrivals.append((len(shot.body), 2.0 + at))
    shot.body += b"0\r\n\r\n"
    answer = read(shot)
    assert (answer.arrivals, answer.tokens, answer.prompt, answer.error) == ((3.0, 4.0), 7, 9, "")

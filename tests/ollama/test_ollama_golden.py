"""The dialect byte for byte: every endpoint and every error of the specification, against the real command.

What is sent and what must come back is data, in ``golden/*.http``; ``golden/errors.tsv`` is the table of errors that
must have a transcript.
"""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from hyperllama.testing.running import RunningGateway
from tests.support import transcripts

HERE = Path(__file__).parent


SCENARIOS = transcripts.read(HERE / "golden")
EXCHANGES = [exchange for scenario in SCENARIOS for exchange in scenario.exchanges if not exchange.hold]

#: The table of endpoints, a line each; ``:x`` is one segment.
ENDPOINTS = """
GET /            HEAD /               GET /api/version            HEAD /api/version     GET /api/status
GET /api/tags    HEAD /api/tags       GET /api/ps                 POST /api/show        POST /api/generate
POST /api/chat   POST /api/embed      POST /api/embeddings        POST /api/create      POST /api/blobs/:digest
HEAD /api/blobs/:digest               POST /api/copy              DELETE /api/delete    POST /api/pull
POST /api/push   POST /api/me         POST /api/signout           DELETE /api/user/keys/:key
POST /api/experimental/web_search     POST /api/experimental/web_fetch
GET /api/experimental/model-recommendations
POST /v1/chat/completions             POST /v1/completions        POST /v1/embeddings   GET /v1/models
GET /v1/models/:model                 POST /v1/responses          POST /v1/messages     POST /v1/audio/transcriptions
"""
ERRORS = [
    line.split("\t") for line in (HERE / "golden" / "errors.tsv").read_text("utf-8").splitlines() if line[:1] > "#"
]


@pytest.fixture(scope="module")
def port(
    tmp_path_factory: pytest.TempPathFactory, loopback_hub: Callable[..., AbstractContextManager[Any]]
) -> Iterator[int]:
    """The command, with models of the sim engine and a hub to pull from."""
    files = {
        "config.json": b'{"architectures":["LlamaForCausalLM"],"model_type":"llama"}',
        "tokenizer.json": b'{"added_tokens":[]}',
        "model.safetensors": b"\x02\0\0\0\0\0\0\0{}",
    }
    with loopback_hub({"org/small": files}) as hub:
        config = (HERE / "golden" / "config.toml").read_text("utf-8")
        gateway = RunningGateway.launch(tmp_path_factory.mktemp("golden"), config, HF_ENDPOINT=hub.url)
        gateway.wait_listening()
        yield gateway.port
        assert gateway.stop() == 0, gateway.log()


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.title)
def test_the_bytes_are_those_of_the_transcript(scenario: Any, port: int) -> None:
    if "[max]" in scenario.title and importlib.util.find_spec("max") is None:
        pytest.skip("the [max] extra is not installed")
    for exchange, answer in transcripts.play(scenario, port):
        found = transcripts.differences(exchange, answer)
        assert not found, f"{exchange.method} {exchange.path} {exchange.body!r}: " + "\n".join(found)


def test_one_changed_byte_is_noticed(port: int) -> None:
    """The control: whatever byte of an answer changes, unless a mask stands for it, the comparison fails."""
    for wanted in ("/api/chat", "/api/version", "/api/pull"):
        exchange = next(each for each in EXCHANGES if each.path == wanted and each.status == 200)
        answer = transcripts.ask(exchange, port)
        assert transcripts.differences(exchange, answer) == []
        masked = len(answer.body) - len("".join(transcripts.literal(exchange)).encode())
        noticed = sum(
            transcripts.differences(exchange, replace(answer, body=_flipped(answer.body, at))) != []
            for at in range(len(answer.body))
        )
        assert noticed >= len(answer.body) - masked
        for other in (answer.body + b"\n", answer.body[:-1], b""):
            assert transcripts.differences(exchange, replace(answer, body=other))
        assert transcripts.differences(exchange, replace(answer, status=201))
        plain = tuple((name, value) for name, value in answer.headers if name != "content-type")
        assert transcripts.differences(exchange, replace(answer, headers=plain))
        assert transcripts.differences(exchange, replace(answer, headers=(*answer.headers, ("x-other", "1"))))


def test_every_endpoint_has_a_transcript_of_its_success() -> None:
    words = ENDPOINTS.split()
    wanted = set(zip(words[::2], words[1::2], strict=True))
    assert len(wanted) == 34
    missing = sorted(
        f"{method} {path}"
        for method, path in wanted
        if not any(each.method == method and _is(each.path, path) and _answers(each) for each in EXCHANGES)
    )
    assert missing == []


@pytest.mark.parametrize("row", ERRORS, ids=" ".join)
def test_every_error_has_a_transcript(row: list[str]) -> None:
    path, status, message = row
    assert any(_is(each.path, path) and each.status == int(status) and message in _messages(each) for each in EXCHANGES)


def _is(path: str, route: str) -> bool:
    here, there = path.partition("?")[0].split("/"), route.split("/")
    return len(here) == len(there) and all(a == b or b.startswith(":") for a, b in zip(here, there, strict=True))


#: What only ollama.com could do: without it, the refusal is the answer.
_CLOUD = ("/api/me", "/api/signout", "/api/user/keys", "/api/experimental/web_")


def _answers(exchange: Any) -> bool:
    return exchange.status in (200, 201) or exchange.path.startswith((*_CLOUD, "/v1/audio"))


def _messages(exchange: Any) -> list[str]:
    """Every error in an answer, on whichever line; text that is no JSON is its own."""
    found = []
    for line in exchange.expected_body.splitlines():
        try:
            error = json.loads(line).get("error")
        except ValueError:
            error = line
        found.append(error.get("message", "") if isinstance(error, dict) else error)
    return found or [""]


def _flipped(body: bytes, at: int) -> bytes:
    return body[:at] + bytes([body[at] ^ 1]) + body[at + 1 :]

"""Bodies that are bombs, and text that tries to be something else."""

from __future__ import annotations

import ast
import importlib
import itertools
import json
import random
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import ollama
import openai
import pytest

from hyperllama.testing.hostile import no_json
from hyperllama.web.strict_json import MAX_DEPTH
from tests.support.corpus import not_the_right_json
from tests.support.live import asked, chat, events, text_of

ROOT = Path(__file__).parents[2]
OPENAI = (
    "/v1/chat/completions",
    "/v1/completions",
    "/v1/embeddings",
    "/tokenize",
    "/detokenize",
    "/v1/responses",
    "/v1/rerank",
    "/v1/score",
)
OLLAMA = ("/api/chat", "/api/generate", "/api/embed", "/api/show")
SIM = """
[models.tiny]
engine = "sim"
[models.tiny.options]
embedding = 8
answer_tokens = 4
[models.echo]
engine = "sim"
[models.echo.options]
echo = true
context_length = 200000
"""
NUMBERS = (-1, 2**31, 2**63, -(2**63), 10**30, 1e308, "1", True, [], {})
BAD: dict[str, tuple[object, ...]] = {
    "n": (0, -1, 129, 2**63, "1", 1.5),
    "max_tokens": (-1, 2**63, "1", 1.5),
    "max_completion_tokens": (-1, 2**63, "1"),
    "temperature": (-0.1, 2.1, "1", 1e308),
    "top_p": (-0.1, 1.1, "1"),
    "top_k": (-2, 2**63, "1"),
    "min_p": (-0.1, 1.1),
    "frequency_penalty": (-2.1, 2.1),
    "presence_penalty": (-2.1, 2.1),
    "seed": (2**64, -(2**64), "1", 1.5),
    "top_logprobs": (21, -1, 2**63),
    "stop": (["x"] * 17, ["x" * 5000], [1]),
    "logit_bias": ({str(n): 1 for n in range(1025)}, {"x": 1}, {"1": 101}),
    "tools": ([{"type": "function", "function": {"name": f"f{n}"}} for n in range(4097)],),
    "response_format": (
        {"type": "json_schema", "json_schema": {"name": "a", "schema": {"description": "x" * 70_000}}},
        {"type": "nonsense"},
    ),
    "stream_options": ({"include_usage": "yes"}, 1),
    "messages": ([], "x", [{"role": "user"}], [{"role": "user", "content": "word " * 100_000}]),
}


def _bad_completions() -> Iterator[tuple[str, dict[str, object]]]:
    for field, values in BAD.items():
        for value in values:
            more = {"logprobs": True} if field == "top_logprobs" else {}
            yield field, {**chat("tiny", stream=False), **more, field: value}


def test_s05_parameter_bombs_are_refused_before_any_engine(serving: Any, bar: Any) -> None:
    live = serving(SIM)
    live.ask("/api/generate", {"model": "tiny"})
    batch = live.batch("tiny")
    before, times, taken = batch.admitted, [], []
    for field, body in _bad_completions():
        wire = asked(OPENAI[0], body)
        began = time.monotonic()
        with live.connect() as client:
            client.sendall(wire)
            status = int(client.recv(65536).split()[1])
        times.append(time.monotonic() - began)
        if status != 400:
            taken.append((field, str(body[field])[:60], status))
    assert not taken
    assert batch.admitted == before  # nothing reached the engine
    bar.record(f"{len(times)} bombs, all 400, {max(times) * 1e3:.0f} ms at most", rounds=len(times))
    bar.within(sorted(times)[len(times) * 9 // 10], 0.02)


def test_s05_numbers_beyond_every_range_are_never_an_error_of_ours(serving: Any, bar: Any) -> None:
    live = serving(SIM)
    count = 0
    names = ("num_predict", "num_ctx", "temperature", "top_k", "top_p", "min_p", "seed", "repeat_penalty", "num_keep")
    for name, value in itertools.islice(itertools.product(names, NUMBERS), None, None, 2):
        status, _, body = live.ask("/api/chat", {**chat("tiny", stream=False), "options": {name: value}})
        # Ollama's own answer to an option of the wrong type is a 500 with the reason in it
        assert status < 500 or b"option" in body, (name, value, body)
        count += 1
    for field, value in itertools.islice(itertools.product(BAD, NUMBERS), None, None, 2):
        status, _, body = live.ask(OPENAI[0], {**chat("tiny", stream=False, max_tokens=2), field: value})
        assert status < 500, (field, value, body)
        count += 1
    assert live.ask(OPENAI[0], chat("tiny", stream=False))[0] == 200
    bar.record("no 5xx", rounds=count)


def test_s06_what_is_no_json_is_400_everywhere(serving: Any, bar: Any, capsys: pytest.CaptureFixture[str]) -> None:
    """All of it on one route, a part on the others: they read their bodies with the same function."""
    live = serving(SIM)
    count = 0
    for path in OPENAI:
        for body in itertools.islice(no_json(), None, None, 1 if path == OPENAI[0] else 7):
            status, _, reply = live.ask(path, body, content_type="application/json")
            assert status == 400, (body[:80], reply[:200])
            assert set(json.loads(reply)["error"]) == {"message", "type", "param", "code"}
            assert len(reply) < 1000
            count += 1
    assert "Traceback" not in "".join(capsys.readouterr())
    bar.record("0 of 500 or above", rounds=count)


def test_s06_json_in_the_wrong_place_is_never_a_5xx(serving: Any, bar: Any, capsys: pytest.CaptureFixture[str]) -> None:
    live = serving(SIM)
    count = 0
    for path in OPENAI:
        for body in itertools.islice(not_the_right_json(), None, None, 1 if path == OPENAI[0] else 4):
            status, _, reply = live.ask(path, body, content_type="application/json")
            assert status < 500, (body[:80], reply[:200])
            if status >= 400:
                assert json.loads(reply)["error"]["type"] == "invalid_request_error"
            count += 1
    assert "Traceback" not in "".join(capsys.readouterr())
    bar.record("0 of 500 or above", rounds=count)


@pytest.mark.parametrize("count", [300, pytest.param(10_000, marks=pytest.mark.nightly)])
def test_s06_damaged_requests_are_answered_or_refused(
    count: int, serving: Any, bar: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    live = serving(SIM)
    rng = random.Random(6)
    good = [
        (path, json.dumps(body).encode())
        for path, body in (
            (OPENAI[0], chat("tiny", stream=False, temperature=0.5, stop=["a"], tools=[], metadata={"k": "v"})),
            ("/v1/embeddings", {"model": "tiny", "input": ["a", "b"], "dimensions": 4}),
            ("/api/chat", {**chat("tiny", stream=False), "options": {"num_predict": 3, "stop": ["x"]}, "think": False}),
            ("/api/generate", {"model": "tiny", "prompt": "x", "stream": False, "format": "json"}),
        )
    ]
    for _ in range(count):
        path, raw = rng.choice(good)
        damaged = bytearray(raw)
        for _ in range(rng.randrange(1, 4)):
            damaged[rng.randrange(len(damaged))] = rng.choice(b'{}[]",:\\u0dD8eE+-9\x00\xff\xed a')
        status, _, reply = live.ask(path, bytes(damaged))
        # Ollama answers an option of the wrong type, and a format it does not know, with a 500 of its own words
        assert status < 500 or (path.startswith("/api") and b"error" in reply), (bytes(damaged), reply[:200])
    assert "Traceback" not in "".join(capsys.readouterr())
    bar.record("no traceback", rounds=count)


def test_s06_nesting_has_a_limit_in_both_dialects(serving: Any, bar: Any) -> None:
    live = serving(SIM)
    paths = (*OPENAI, *OLLAMA)
    for path in paths:
        for depth in (MAX_DEPTH + 1, 10_000, 100_000):
            body = b'{"model":"tiny","a":' + b"[" * depth + b"]" * depth + b"}"
            status, _, _ = live.ask(path, body)
            assert status < 500, (path, depth, status)
    bar.record("100,000 levels are no 5xx", rounds=3 * len(paths))


METHODS = ("match", "fullmatch", "search", "sub", "split", "findall", "finditer")


def _patterns() -> Iterator[tuple[str, re.Pattern[Any], list[str]]]:
    """Every regular expression that a module of ours compiles at import, and the methods that are called of it."""
    for root in ("core", "protocols", "plugins"):
        for path in sorted((ROOT / root).rglob("*.py")):
            source = path.read_text("utf-8")
            if "re.compile" not in source or "training" in path.parts:
                continue
            names = {
                target.id
                for node in ast.walk(ast.parse(source))
                if isinstance(node, ast.Assign)
                for target in node.targets
                if isinstance(target, ast.Name) and "re.compile" in ast.unparse(node.value)
            }
            name = ".".join(path.relative_to(ROOT / root).with_suffix("").parts).removesuffix(".__init__")
            try:
                module = importlib.import_module(name)
            except ImportError:  # an extra that is not installed
                continue
            for each in sorted(names):
                found = getattr(module, each, None)
                used = [method for method in METHODS if f"{each}.{method}(" in source]
                if isinstance(found, re.Pattern) and used:
                    yield f"{name}.{each}", found, used


ATTACKS = ("a", " ", "\n", "0", "-", ".", "/", "aA0 ", "<", "{", '"', "\\", "a/", "wait=1,", "{{", "<|", "%", "=", ";")


def _seconds(pattern: re.Pattern[Any], method: str, text: Any) -> float:
    began = time.process_time()
    if method == "sub":
        pattern.sub(text[:0], text)
    elif method == "finditer":
        list(pattern.finditer(text))
    else:
        getattr(pattern, method)(text)
    return time.process_time() - began


def test_s07_our_own_regular_expressions_are_quick_on_hostile_text(bar: Any) -> None:
    slowest, count = (0.0, ""), 0
    for name, pattern, methods in _patterns():
        for attack in ATTACKS:
            text: Any = (attack * 100_000)[:100_000] + "\x00"
            if isinstance(pattern.pattern, bytes):
                text = text.encode()
            for method in methods:
                slowest = max(slowest, (_seconds(pattern, method, text), name))
                count += 1
    assert count > 300
    assert slowest[0] < 0.5, slowest  # ten times the bar: no catastrophe, whatever else the machine does
    bar.record(f"{slowest[0] * 1e3:.0f} ms at most ({slowest[1]})", rounds=count)
    bar.within(slowest[0], 0.05)


def test_s07_a_regular_expression_that_explodes_is_seen() -> None:
    """The control of the test above."""
    assert _seconds(re.compile(r"(?:a+)+$"), "match", "a" * 24 + "\x00") > 0.05


@pytest.mark.max
@pytest.mark.nightly
@pytest.mark.timeout(900)
def test_s07_grammar_bombs_kill_no_engine(start: Any, bar: Any) -> None:
    """Over a socket; tests/max holds the whole corpus against the engine itself."""
    deep: dict[str, object] = {}
    for _ in range(40):
        deep = {"type": "object", "properties": {"a": deep}}
    schemas = (deep, {"pattern": "foo**", "type": "string"}, {"type": "nonsense"}, {"pattern": "(a+)+$" * 500})
    gateway = start((ROOT / "config.toml").read_text(), HYPERLLAMA_SERVER_PORT="0")
    gateway.wait_ready()
    with httpx.Client(base_url=gateway.url, timeout=120) as http:
        for schema in schemas:
            wanted = {"type": "json_schema", "json_schema": {"name": "a", "schema": schema}}
            body = chat("tiny", stream=False, max_tokens=4, response_format=wanted)
            assert http.post(OPENAI[0], json=body).status_code in (200, 400)
        for pattern in ("(a{1,1000}){1,1000}", "(" * 5000, "[[:bogus:]]"):
            body = chat("tiny", stream=False, max_tokens=4, structured_outputs={"regex": pattern})
            assert http.post(OPENAI[0], json=body).status_code in (200, 400)
        assert http.post(OPENAI[0], json=chat("tiny", stream=False, max_tokens=4)).status_code == 200
        deaths = re.findall(r"^hyperllama_engine_deaths_total\{.*\} (\S+)$", http.get("/metrics").text, re.MULTILINE)
    assert deaths and set(deaths) == {"0.0"}
    bar.record("0 engines killed", rounds=7)


SPECIALS = ("<|im_start|>system\n", "<|im_end|>", "<s>", "</s>", "<|endoftext|>", "[INST]", "<image>", "<|image_pad|>")


def test_s08_special_tokens_and_images_are_only_text_or_refused(serving: Any, bar: Any) -> None:
    live = serving(SIM)
    for text in SPECIALS:
        assert (
            json.loads(live.ask(OPENAI[0], chat("echo", text, stream=False))[2])["choices"][0]["message"]["content"]
            == text
        )
    images = (
        "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==",
        "data:image/png;base64,AAAA",
        "file:///etc/passwd",
        "http://127.0.0.1:1/x.png",
        "data:,",
    )
    for url in images:
        content = [{"type": "image_url", "image_url": {"url": url}}] * 17
        status, _, body = live.ask(
            OPENAI[0], {"model": "tiny", "messages": [{"role": "user", "content": content}], "stream": False}
        )
        assert status == 400, body
    assert live.ask(OPENAI[0], chat("tiny", stream=False))[0] == 200
    bar.record("special tokens come back as text, images are 400", rounds=len(SPECIALS) + len(images))


@pytest.mark.max
@pytest.mark.nightly
@pytest.mark.timeout(900)
def test_s08_no_control_string_kills_max(start: Any, bar: Any) -> None:
    gateway = start((ROOT / "config.toml").read_text(), HYPERLLAMA_SERVER_PORT="0")
    gateway.wait_ready()
    texts = (*SPECIALS, "<|begin|>", "<|end|>", "<|pad|>", "<|tools|>", "<|user|>", "<|assistant|>", "\x00", "\ufeff")
    with httpx.Client(base_url=gateway.url, timeout=120) as http:
        for text in texts:
            for penalty in ({}, {"frequency_penalty": 2.0, "presence_penalty": -2.0}):
                body = chat("tiny", text, stream=False, max_tokens=4, **penalty)
                assert http.post(OPENAI[0], json=body).status_code == 200
        deaths = re.findall(r"^hyperllama_engine_deaths_total\{.*\} (\S+)$", http.get("/metrics").text, re.MULTILINE)
    assert deaths and set(deaths) == {"0.0"}
    bar.record("on MAX: 0 engines killed", rounds=2 * len(texts))


HOSTILE = (
    "\n\ndata: [DONE]\n\n", "\r\n\r\n", "\r", "\u2028", "\u2029", "\x85", "\x00", '"}]}\n\n', "event: error\n",
    "id: 1\n", ": comment\n\n", "\\", '\\"', "\ufeff", "\U0001f469\u200d\U0001f469", "e\u0301", "\ufffd", "</script>",
    "\x1b[2J", '{"done":true}\n', '"error":',
)  # fmt: skip


@pytest.mark.parametrize("count", [40, pytest.param(10_000, marks=pytest.mark.nightly)])
@pytest.mark.timeout(900)
def test_s20_any_text_comes_back_exactly_in_both_dialects(count: int, serving: Any, bar: Any) -> None:
    """Read by the vendors' own clients, and by a strict reader of ours."""
    live = serving(SIM)
    rng = random.Random(20)
    theirs = openai.OpenAI(base_url=f"{live.url}/v1", api_key="none", max_retries=0)
    local = ollama.Client(host=live.url)
    for number in range(count):
        pieces = [rng.choice(HOSTILE) if rng.random() < 0.6 else chr(_code(rng)) for _ in range(12)]
        text = "x" + "".join(pieces)  # a blank message would be no message
        said = [{"role": "user", "content": text}]
        match number % 3:
            case 0:
                stream = theirs.chat.completions.create(model="echo", messages=said, stream=True)  # type: ignore[arg-type]
                got = "".join(chunk.choices[0].delta.content or "" for chunk in stream if chunk.choices)
            case 1:
                got = "".join(part.message.content or "" for part in local.chat("echo", said, stream=True))
            case _:
                got = text_of(events(live.ask(OPENAI[0], {"model": "echo", "messages": said, "stream": True})[2]))
        assert got == text
    theirs.close()
    local._client.close()
    bar.record("0 texts changed", rounds=count)


def test_s20_a_hostile_model_name_stays_inside_the_json(serving: Any, bar: Any) -> None:
    live = serving(SIM)
    for text in HOSTILE:
        for path in (OPENAI[0], "/api/chat"):
            status, headers, body = live.ask(path, chat(text))
            assert status in (400, 404), (text, body)
            assert json.loads(body)["error"]
            assert not any(text.strip() and text.strip() in value for value in headers.values() if len(text) > 2)
    bar.record("names stay in JSON", rounds=2 * len(HOSTILE))


def _code(rng: random.Random) -> int:
    while 0xD800 <= (code := rng.randrange(0x110000)) <= 0xDFFF:
        pass
    return code


def test_the_servers_own_refusals_are_in_the_words_of_the_paths_dialect(serving: Any) -> None:
    """They come before any route; Node's SDK loses a message that is not in its dialect's envelope."""
    live = serving('[plugins]\nenabled = ["sim", "openai", "ollama", "anthropic"]\n[server]\nmax_body_bytes = 1000\n')
    reason = "the request body is too large; 1000 bytes are the limit"
    found = {}
    for path in ("/v1/chat/completions", "/v1/messages", "/api/chat", "/nobodys"):
        status, headers, body = live.ask(path, b"x" * 2000)
        assert (status, headers["connection"]) == (413, "close")
        assert headers["x-request-id"].startswith("req_")
        found[path] = json.loads(body)
    assert found["/v1/chat/completions"]["error"]["message"] == reason
    assert found["/v1/messages"] == {
        "type": "error",
        "error": {"type": "request_too_large", "message": reason},
        **{key: value for key, value in found["/v1/messages"].items() if key == "request_id"},
    }
    assert found["/api/chat"] == found["/nobodys"] == {"error": reason}
    status, _, body = live.ask("/v1/chat/completions", b"x", content_encoding="br")
    assert status == 415
    assert "Content-Encoding" in json.loads(body)["error"]["message"]

"""Small manners that clients of a small server rely on, on a whole gateway's socket, without keys and with them."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable, Iterator

import pytest

from tests.support.live import Live, keys

MODELS = """
[models.sim]
engine = "sim"
aliases = ["gpt-4o-mini", "team/other:1b"]
options = { text = "one two three" }
[models.bad]
engine = "sim"
[[models.bad.options.script]]
when = "weather"
tool_calls = [{ name = "get_weather", arguments = '{"city": ' }]
[models.broken]
engine = "sim"
options = { error_at_token = 0 }
[models.held]
engine = "sim"
options = { error_at_token = 1, text = "abcdef ghi" }
[plugins]
enabled = ["sim", "openai", "ollama", "anthropic"]
"""
CHAT = {"model": "sim", "messages": [{"role": "user", "content": "hi"}], "think": False}
MESSAGES = {"model": "sim", "max_tokens": 9, "messages": [{"role": "user", "content": "hi"}]}
TOOL = {"name": "get_weather", "parameters": {"type": "object", "properties": {"city": {"type": "string"}}}}
Ask = Callable[[bytes], tuple[int, dict[str, str], bytes]]


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    live = Live(MODELS, tmp_path_factory.mktemp("manners"))
    yield live
    live.stop()


@pytest.fixture(scope="module")
def keyed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    text = MODELS.replace("[plugins]", keys(good="", weak='permissions = ["infer"]\n') + "[plugins]")
    live = Live(text, tmp_path_factory.mktemp("keyed"))
    yield live
    live.stop()


def said(live: Live, sent: bytes) -> tuple[int, dict[str, str], bytes]:
    """Status, headers and whatever comes up to the end of the connection."""
    with live.connect() as one:
        one.sendall(sent)
        got = b""
        while piece := one.recv(65536):
            got += piece
    head, _, body = got.partition(b"\r\n\r\n")
    first, *lines = head.decode("latin-1").split("\r\n")
    return int(first.split(" ")[1]), dict(line.lower().split(": ", 1) for line in lines), body


def request(method: str, target: str, body: object = None, *lines: str, version: str = "1.1") -> bytes:
    raw = b"" if body is None else json.dumps(body).encode()
    head = [f"{method} {target} HTTP/{version}", "Host: localhost", "Connection: close", *lines]
    head += [f"Content-Length: {len(raw)}"] if raw else []
    return "\r\n".join(head).encode("latin-1") + b"\r\n\r\n" + raw


# --- B05 ---

SPELLINGS = ("/{}", "//{}", "///{}", "/./{}", "/x/../{}", "/%2e/{}", "/x/%2E./{}")
INNER = ("/", "//", "/./", "//./", "/x/../")
GETS = ("api/tags", "api/version", "api/ps", "v1/models", "health", "metrics")
POSTS: tuple[tuple[str, object], ...] = (
    ("api/chat", {**CHAT, "stream": False}),
    ("api/generate", {"model": "sim", "prompt": "hi", "stream": False}),
    ("api/show", {"model": "sim"}),
    ("v1/chat/completions", CHAT),
    ("v1/messages", MESSAGES),
)


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_b05_a_path_with_extra_slashes_and_dots_is_served(gateway: Live, spelling: str) -> None:
    for path in GETS:
        assert said(gateway, request("GET", spelling.format(path)))[0] == 200, path
    for path, body in POSTS:
        assert said(gateway, request("POST", spelling.format(path), body))[0] == 200, path
    assert said(gateway, request("HEAD", spelling.format("api/tags")))[0] == 200
    assert said(gateway, request("GET", spelling.format("api/chat")))[0] == 405
    assert said(gateway, request("GET", spelling.format("api/nothing")))[0] == 404


@pytest.mark.parametrize("inner", INNER)
def test_b05_the_same_inside_a_path_and_with_a_query(gateway: Live, inner: str) -> None:
    for path, body in POSTS:
        target = inner + path.replace("/", inner)
        assert said(gateway, request("POST", f"{target}?x=//y/../z", body))[0] == 200, target


def test_b05_a_slash_at_the_end_is_redirected_as_ever(gateway: Live) -> None:
    status, headers, _ = said(gateway, request("POST", "//api//chat/?a=1", CHAT))
    assert (status, headers["location"]) == (307, "/api/chat?a=1")


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_b05_no_spelling_is_a_way_around_a_key_a_permission_or_an_origin(keyed: Live, spelling: str) -> None:
    weak, foreign = "Authorization: Bearer weak-secret", "Origin: https://evil.example"
    for method, path in (("GET", "api/tags"), ("POST", "api/chat"), ("GET", "v1/models"), ("GET", "metrics")):
        target = spelling.format(path)
        assert said(keyed, request(method, target))[0] == 401, target
        assert said(keyed, request(method, target, None, foreign))[0] == 403, target
        assert said(keyed, request(method, target, None).replace(b"localhost", b"evil.example"))[0] == 403, target
    assert said(keyed, request("GET", spelling.format("api/tags"), None, weak))[0] == 403
    assert said(keyed, request("DELETE", spelling.format("api/delete"), {"model": "sim"}, weak))[0] == 403
    for public in ("health/../api/tags", "health//../metrics", "api/version/../tags"):
        assert said(keyed, request("GET", spelling.format(public)))[0] == 401, public


# --- B06 and B11 ---


@pytest.mark.parametrize("host", ["", "Host: localhost\r\n", "Host:\r\n", "Host: 127.0.0.1:11434\r\n"])
def test_b06_checks_of_health_in_http_1_0_pass(gateway: Live, host: str) -> None:
    def old(method: str, path: str) -> tuple[int, dict[str, str], bytes]:
        return said(gateway, f"{method} {path} HTTP/1.0\r\n{host}\r\n".encode())

    assert old("GET", "/")[2] == b"Ollama is running"
    for path in ("/", "/api/version", "/health", "/api/tags", "/v1/models", "//api/version"):
        status, headers, _ = old("GET", path)
        assert (status, headers["connection"]) == (200, "close"), path
    assert old("HEAD", "/")[0] == 200
    if "127" not in host:  # an address falls through to the route, as Ollama has it
        assert old("OPTIONS", "/")[0] == 204


@pytest.mark.parametrize(
    ("path", "body", "end"),
    [
        ("/api/chat", CHAT, b'"done":true'),
        ("/v1/chat/completions", {**CHAT, "stream": True}, b"data: [DONE]"),
        ("/v1/messages", {**MESSAGES, "stream": True}, b"message_stop"),
    ],
)
def test_b06_a_stream_to_http_1_0_has_no_chunks(gateway: Live, path: str, body: object, end: bytes) -> None:
    old = request("POST", path, body, version="1.0")
    status, headers, got = said(gateway, old.replace(b"Host: localhost\r\n", b""))
    assert (status, headers["connection"]) == (200, "close")
    assert "transfer-encoding" not in headers
    assert end in got.splitlines()[-1] or end in got[-60:]
    assert not re.search(rb"(?m)^[0-9a-f]+\r$", got)


def test_b06_a_foreign_host_is_refused_in_both_versions(gateway: Live) -> None:
    for version in ("1.0", "1.1"):
        sent = request("GET", "/api/tags", version=version).replace(b"localhost", b"evil.example")
        assert said(gateway, sent)[0] == 403


@pytest.mark.parametrize("scheme", ["http", "HTTP", "https"])
def test_b11_absolute_targets_are_served(gateway: Live, scheme: str) -> None:
    for path in GETS:
        assert said(gateway, request("GET", f"{scheme}://localhost/{path}"))[0] == 200
    for path, body in POSTS:
        assert said(gateway, request("POST", f"{scheme}://localhost//{path}?x", body))[0] == 200
    assert said(gateway, request("GET", f"{scheme}://localhost"))[2] == b"Ollama is running"


def test_b11_the_host_of_an_absolute_target_is_judged(gateway: Live) -> None:
    assert (
        said(gateway, b"GET http://evil.example/api/tags HTTP/1.1\r\nHost: evil.example\r\nConnection: close\r\n\r\n")[
            0
        ]
        == 403
    )
    assert said(gateway, b"GET http://evil.example/api/tags HTTP/1.0\r\n\r\n")[0] == 403
    assert said(gateway, b"GET http://evil.example/api/tags HTTP/1.1\r\nHost: localhost\r\n\r\n")[0] == 400
    assert said(gateway, b"GET http://localhost/api/tags HTTP/1.1\r\nHost: evil.example\r\n\r\n")[0] == 400


@pytest.mark.parametrize("live", ["gateway", "keyed"])
def test_b11_options_of_the_whole_server(live: str, request: pytest.FixtureRequest) -> None:
    one = request.getfixturevalue(live)
    for host in ("localhost", "127.0.0.1"):
        for target in ("*", f"http://{host}"):
            sent = f"OPTIONS {target} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode()
            assert said(one, sent)[::2] == (200, b""), target
    assert said(one, b"OPTIONS * HTTP/1.0\r\n\r\n")[0] == 200
    assert said(one, b"OPTIONS * HTTP/1.1\r\nHost: evil.example\r\nConnection: close\r\n\r\n")[0] == 403
    assert said(one, b"GET * HTTP/1.1\r\nHost: localhost\r\n\r\n")[0] == 400


# --- B09 and B10 ---


def basic(text: str) -> str:
    return "Authorization: Basic " + base64.b64encode(text.encode()).decode()


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        ("user:good-secret", 200),
        (":good-secret", 200),
        ("good-secret:", 200),
        ("good-secret", 200),
        ("user:bad-secret", 401),
        ("good-secret:bad-secret", 401),  # the password is the key wherever there is one
        ("user:weak-secret", 403),
        ("user:good-secret:x", 401),
        ("user", 401),
        (":", 401),
        ("", 401),
    ],
)
def test_b09_the_password_or_a_lone_user_name_is_the_key(keyed: Live, sent: str, status: int) -> None:
    for line in (basic(sent), basic(sent).replace("Basic", "basic"), basic(sent).replace("Basic ", "Basic   ")):
        for path in ("/api/tags", "/v1/models"):
            assert said(keyed, request("GET", path, None, line))[0] == status, line


@pytest.mark.parametrize(
    "line", ["Basic", "Basic !!!", "Basic Z29vZA", "Basic \xff", "Digest x", "Basic " + "A" * 8000]
)
def test_b09_what_is_no_basic_is_no_key(keyed: Live, line: str) -> None:
    assert said(keyed, request("GET", "/api/tags", None, f"Authorization: {line}"))[0] == 401


def test_b09_two_different_basic_keys_are_refused(keyed: Live) -> None:
    for one, two in (
        ("u:good-secret", "u:bad-secret"),
        ("u:bad-secret", "u:good-secret"),
        ("u:good-secret", "u:weak-secret"),
    ):
        assert said(keyed, request("GET", "/api/tags", None, basic(one), basic(two)))[0] == 400
    assert said(keyed, request("GET", "/api/tags", None, basic("a:good-secret"), basic("b:good-secret")))[0] == 200


CARRIERS = ("Authorization: Bearer {}", "X-Api-Key: {}", "Api-Key: {}")


@pytest.mark.parametrize("one", CARRIERS)
@pytest.mark.parametrize("two", CARRIERS)
def test_b10_two_dummy_keys_are_no_hindrance_where_none_is_needed(gateway: Live, one: str, two: str) -> None:
    for path in ("/api/tags", "/v1/models"):
        assert said(gateway, request("GET", path, None, one.format("ollama"), two.format("other")))[0] == 200
    lines = (one.format("ollama"), two.format("other"), "api-key: third", basic("u:fourth"))
    assert said(gateway, request("POST", "/api/chat", CHAT, *lines))[0] == 200
    assert said(gateway, request("POST", "/v1/messages", MESSAGES, *lines))[0] == 200


@pytest.mark.parametrize("one", CARRIERS)
@pytest.mark.parametrize("two", CARRIERS)
def test_b10_where_a_key_is_needed_the_verdict_does_not_hang_on_which_is_right(keyed: Live, one: str, two: str) -> None:
    pairs = (("good-secret", "bad-1"), ("bad-1", "good-secret"), ("bad-1", "bad-2"), ("good-secret", "weak-secret"))
    answers = {said(keyed, request("GET", "/api/tags", None, one.format(a), two.format(b)))[::2] for a, b in pairs}
    assert len(answers) == 1
    assert answers.pop()[0] == 400


# --- B14 ---


def weather(path: str, *, stream: bool) -> dict[str, object]:
    message = {"role": "user", "content": "weather"}
    match path:
        case "/api/chat":
            return {"messages": [message], "tools": [{"type": "function", "function": TOOL}], "stream": stream}
        case "/api/generate" | "/v1/completions":
            return {"prompt": "weather", "stream": stream}
        case "/v1/responses":
            return {"input": "weather", "stream": stream}
    return {"messages": [message], "stream": stream, "max_tokens": 9}


@pytest.mark.parametrize("stream", [True, False])
def test_b14_a_malformed_call_before_the_first_line_has_its_real_status(gateway: Live, stream: bool) -> None:
    status, headers, body = said(
        gateway, request("POST", "/api/chat", {"model": "bad", **weather("/api/chat", stream=stream)})
    )
    assert status == 500
    assert headers["content-type"].startswith("application/json")
    assert "no JSON object" in json.loads(body)["error"]


@pytest.mark.parametrize(
    "path",
    ["/api/chat", "/api/generate", "/v1/chat/completions", "/v1/completions", "/v1/responses", "/v1/messages"],
)
def test_b14_an_engine_that_fails_first_has_its_real_status_in_every_dialect(gateway: Live, path: str) -> None:
    statuses = {
        said(gateway, request("POST", path, {"model": "broken", **weather(path, stream=stream)}))[0]
        for stream in (True, False)
    }
    assert statuses == {500 if path.startswith("/api") else 502}


@pytest.mark.parametrize("path", ["/api/chat", "/api/generate", "/v1/chat/completions", "/v1/completions"])
def test_b14_text_that_is_held_back_is_no_first_line(gateway: Live, path: str) -> None:
    stops = {"options": {"stop": ["abcdef z"]}, "think": False} if path.startswith("/api") else {"stop": ["abcdef z"]}
    body = {"model": "held", **weather(path, stream=True), **stops}
    status, headers, _ = said(gateway, request("POST", path, body))
    assert status in (500, 502)
    assert headers["content-type"].startswith("application/json")


# --- B15 ---


def test_b15_an_alias_is_listed_wherever_models_are(gateway: Live) -> None:
    names = {"sim:latest", "gpt-4o-mini:latest", "team/other:1b"}
    tags = json.loads(said(gateway, request("GET", "/api/tags"))[2])["models"]
    ours = [model for model in tags if model["name"] in names]
    assert {model["name"] for model in ours} == {model["model"] for model in ours} == names
    assert len({model["digest"] for model in ours}) == 1
    for name in ("sim", "gpt-4o-mini", "gpt-4o-mini:latest", "team/other:1b"):
        assert said(gateway, request("POST", "/api/show", {"model": name}))[0] == 200
        status, _, body = said(gateway, request("POST", "/api/chat", {**CHAT, "model": name, "stream": False}))
        assert (status, json.loads(body)["model"]) == (200, name)
    running = json.loads(said(gateway, request("GET", "/api/ps"))[2])["models"]
    assert names <= {model["name"] for model in running}
    plain = {"sim", "gpt-4o-mini", "team/other:1b"}
    for lines in ((), ("anthropic-version: 2023-06-01",)):
        listed = json.loads(said(gateway, request("GET", "/v1/models", None, *lines))[2])["data"]
        assert plain <= {model["id"] for model in listed}
        for name in plain:
            assert json.loads(said(gateway, request("GET", f"/v1/models/{name}", None, *lines))[2])["id"] == name

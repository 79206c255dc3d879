"""What may be seen of secrets and prompts: nothing, anywhere; and what listens, decodes and compares."""

from __future__ import annotations

import ast
import hashlib
import json
import random
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from hyperllama.config import Config, Server
from hyperllama.config.exposure import describe_exposure
from hyperllama.errors import ConfigError
from hyperllama.host import frames
from tests.support.gateways import Gateway
from tests.support.live import asked, chat, connect, keys

ROOT = Path(__file__).parents[2]
CANARY = "canary-7f3a"  # in every secret
PROMPT = "canary-9b1c-prompt"  # in every prompt
SECRETS = {
    "HF_TOKEN": f"{CANARY}-hub-token",
    "OPENAI_API_KEY": f"{CANARY}-upstream-key",
    "AWS_SECRET_ACCESS_KEY": f"{CANARY}-cloud",
    "DATABASE_URL": f"postgresql://u:{CANARY}@127.0.0.1/x",
}
RUN = f"""
[server]
port = 0
[keys]
pepper = "{CANARY}-pepper"
[limits]
storage = "redis://:{CANARY}-redis@127.0.0.1:1/0"
[models.sim]
engine = "sim"
[models.sim.options]
placement = "host"
embedding = 4
fault_prompt = "break"
error_at_token = 2
""" + keys(ci='permissions = ["infer", "models:read", "admin"]', other="")


def _canary_keys() -> str:
    """Client keys that hold the canary, too."""
    hashed = hashlib.sha256(f"{CANARY}-client".encode()).hexdigest()
    return f'[keys.static.canary]\nhash = "sha256:{hashed}"\npermissions = ["infer", "models:read", "admin"]\n'


HOSTILE = ("a\nb", "a\r\nb", "\x1b[31m", "\u2028x\u2029", "\x00", '"}\n{"level":"error"', "x" * 5000, "\x85", "%0a%0d")


def _scenario(url: str, key: str) -> list[str]:
    """Good, bad and hostile requests with the canary in every text; what was answered."""
    headers = {"authorization": f"Bearer {key}"}
    said = PROMPT
    tools = [{"type": "function", "function": {"name": "f", "description": said}}]
    bodies: list[tuple[str, object]] = [
        ("/v1/chat/completions", chat("sim", said)),
        ("/v1/chat/completions", chat("sim", f"{said} break")),
        ("/v1/chat/completions", chat("sim", said, stream=False, tools=tools)),
        ("/v1/completions", {"model": "sim", "prompt": said}),
        ("/v1/embeddings", {"model": "sim", "input": said}),
        ("/api/chat", chat("sim", said)),
        ("/api/generate", {"model": "sim", "prompt": said, "system": said}),
        ("/v1/responses", {"model": "sim", "input": said}),
        ("/v1/chat/completions", {**chat("sim", said), "temperature": 99}),
        ("/v1/chat/completions", {"model": "sim", "messages": [{"role": "user", "content": said * 9000}]}),
        ("/v1/chat/completions", f'{{"model":"sim","messages":[{{"role":"user","content":"{said}"'.encode()),
    ]
    got = []
    with httpx.Client(base_url=url, timeout=60, headers=headers) as http:
        for path, body in bodies:
            answer = http.post(path, content=body) if isinstance(body, bytes) else http.post(path, json=body)
            if answer.status_code != 200:
                got.append(answer.text)
        got.append(http.get("/metrics").text)
        got += [
            http.get("/v1/models", headers={b"authorization": f"Bearer {wrong}".encode()}).text
            for wrong in (f"{CANARY}-wrong-key", "é" * 20, "x" * 16_000)
        ]
        for text in HOSTILE:
            http.post("/v1/chat/completions", json=chat(text))
            http.get(f"/api/{text.encode().hex()}%0d%0aset-cookie", params={"q": text})
    return got


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """A gateway that has been through the scenario and was stopped, and everything that could be seen of it."""
    folder = tmp_path_factory.mktemp("secrets")
    gateway: Any = Gateway.launch(folder, RUN + _canary_keys(), **SECRETS)
    gateway.wait_listening()
    gateway.answers = _scenario(gateway.url, f"{CANARY}-client")
    for text in HOSTILE:  # a client library would refuse to send these
        with socket.create_connection(("127.0.0.1", gateway.port)) as raw:
            line = text.encode("latin-1", "replace").replace(b"\r", b"").replace(b"\n", b"").replace(b"\x00", b"")
            raw.sendall(
                b"GET /v1/models HTTP/1.1\r\nHost: localhost\r\nX-Request-Id: "
                + line
                + b"\r\nUser-Agent: "
                + line
                + b"\r\n\r\n"
            )
            raw.recv(1000)
    hosts = gateway.tree()[1:]
    gateway.seen = {
        "arguments": "".join(" ".join(each.cmdline()) for each in gateway.tree()),
        "engines' environments": "".join(str(each.environ()) for each in hosts),
    }
    gateway.listeners = {
        (each.laddr.ip, each.laddr.port)
        for process in gateway.tree()
        for each in process.net_connections(kind="inet")
        if each.status == psutil.CONN_LISTEN
    }
    gateway.hosts = len(hosts)
    assert gateway.stop() == 0
    yield gateway


def test_s17_no_secret_is_seen_anywhere(ran: Any, bar: Any) -> None:
    assert ran.hosts == 1
    places = {**ran.seen, "errors and metrics": "".join(ran.answers), "log": ran.log()}
    for path in (ran.folder / "store").rglob("*"):
        if path.is_file() and path.name != "pepper":
            places[str(path.relative_to(ran.folder))] = path.read_bytes().decode("latin-1")
    for place, text in places.items():
        assert CANARY not in text, (place, text[max(0, text.find(CANARY) - 200) :][:400])
    assert CANARY in (ran.folder / "config.toml").read_text()  # the control: what was looked for is there to be found
    bar.record(f"0 in {len(places)} places", rounds=len(SECRETS) + 4)


def test_s18_no_prompt_is_in_the_log_or_the_metrics(ran: Any, bar: Any) -> None:
    log = ran.log()
    assert log.count('"event":"request"') > 20
    assert PROMPT not in log
    assert not any(PROMPT in text for text in ran.answers)  # errors and metrics
    bar.record("0 of 11 prompts", rounds=11)


def _problems(log: str) -> list[str]:
    """Lines that are no JSON object, carry raw controls, or a value that is too long."""
    found = []
    for line in log.rstrip("\n").split("\n"):
        try:
            entry = json.loads(line)
        except ValueError:
            found.append(line[:200])
            continue
        raw = any(ord(char) < 32 or char in "\x7f\x85\u2028\u2029" for char in line)
        if not isinstance(entry, dict) or raw or any(len(str(value)) > 1100 for value in entry.values()):
            found.append(line[:200])
    return found


def test_s19_every_line_of_the_log_is_one_object_and_there_are_few(ran: Any, bar: Any) -> None:
    log = ran.log()
    assert _problems(log) == []
    requests = log.count('"event":"request"')
    assert len(log.splitlines()) <= 2 * requests + 20
    bar.record(f"{len(log.splitlines())} lines of {requests} requests, all objects", rounds=requests)


def test_s19_a_forged_line_is_seen() -> None:
    """The control of the test above."""
    assert _problems('{"event":"a"}\nforged\n') == ["forged"]
    assert _problems('{"event":"a\u2028b"}\n')
    assert _problems(json.dumps({"event": "x" * 2000}))


@pytest.mark.parametrize("count", [60, pytest.param(10_000, marks=pytest.mark.nightly)])
def test_s19_bad_requests_do_not_flood_the_log(count: int, start: Any, bar: Any) -> None:
    gateway = start('[server]\nport = 0\n[models.sim]\nengine = "sim"\n')
    before = len(gateway.log())
    wire = asked("/v1/chat/completions", b"{nonsense" + b"x" * 10_000)
    for _ in range(count):
        with connect(gateway.port) as one:
            one.sendall(wire)
            assert b" 400 " in one.recv(4096)
    written = len(gateway.log()) - before
    assert written / count <= 1024
    bar.record(f"{written / count:.0f} bytes a bad request", rounds=count)


FORBIDDEN = {"pickle", "marshal", "shelve", "dill", "cloudpickle"}


def _forbidden(source: str) -> list[str]:
    found = []
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.Import(names=names):
                found += [name.name for name in names if name.name.partition(".")[0] in FORBIDDEN]
            case ast.ImportFrom(module=str(module)):
                found += [module] if module.partition(".")[0] in FORBIDDEN else []
            case ast.Call(func=ast.Name(id="eval" | "exec" as name)):
                found.append(name)
            case ast.Call(func=ast.Attribute(attr="recv_pyobj" | "loads_pickle" as name)):
                found.append(name)
            case ast.keyword(arg="shell", value=ast.Constant(value=True)):
                found.append("shell=True")
    return found


def test_s21_nothing_of_ours_decodes_code(bar: Any) -> None:
    assert _forbidden("import pickle\npickle.loads(b'')\neval('1')\nrun(x, shell=True)") == [
        "pickle",
        "eval",
        "shell=True",
    ]
    files = [path for root in ("core", "protocols", "plugins") for path in (ROOT / root).rglob("*.py")]
    assert len(files) > 100
    for path in files:
        assert _forbidden(path.read_text("utf-8")) == [], path
    bar.record(f"0 in {len(files)} files", rounds=len(files))


def test_s21_nothing_listens_but_the_configured_port(ran: Any, bar: Any) -> None:
    assert ran.listeners == {("127.0.0.1", ran.port)}
    bar.record("1 listener", rounds=1)


@pytest.mark.parametrize("count", [2_000, pytest.param(100_000, marks=pytest.mark.nightly)])
def test_s21_garbage_between_processes_is_a_bad_frame_and_nothing_else(count: int, bar: Any) -> None:
    rng = random.Random(21)
    bad = 0
    for _ in range(count):
        side: Any = rng.choice(("gateway", "host"))
        body = rng.randbytes(rng.randrange(0, 60))
        size = len(body) if rng.random() < 0.8 else rng.randrange(2**32)
        try:
            frames.Reader(side).feed(size.to_bytes(4, "big") + body)
        except frames.BadFrameError:
            bad += 1
    assert bad > count / 2
    bar.record(f"{bad:,} refused, 0 crashes", rounds=count)


STARTS = [
    ("127.0.0.1", False, False, True),
    ("::1", False, False, True),
    ("localhost", False, False, True),
    ("0.0.0.0", False, False, False),
    ("::", False, False, False),
    ("192.0.2.1", False, False, False),
    ("gateway.example", False, False, False),
    ("0.0.0.0", True, False, True),
    ("0.0.0.0", False, True, True),
]


def test_s13_other_machines_need_keys_or_a_typed_consent(bar: Any) -> None:
    assert Config().server.host == "127.0.0.1"
    for host, with_keys, consent, starts in STARTS:
        config = Config(server=Server(host=host, insecure_no_auth=consent))
        if starts:
            sentence = describe_exposure(config, keys=with_keys)
            assert ("WITHOUT KEYS" in sentence) is consent
        else:
            with pytest.raises(ConfigError, match="no keys are configured"):
                describe_exposure(config, keys=with_keys)
    bar.record("refused without keys", rounds=len(STARTS))


def test_s13_the_default_listens_on_loopback_and_says_what_else_is_open(start: Any, bar: Any) -> None:
    closed = start('[server]\nport = 0\n[models.sim]\nengine = "sim"\n')
    open_ = start('[server]\nport = 0\nhost = "0.0.0.0"\n[models.sim]\nengine = "sim"\n', "--insecure-no-auth")
    found = [
        {
            each.laddr.ip
            for each in psutil.Process(one.process.pid).net_connections(kind="inet")
            if each.status == psutil.CONN_LISTEN
        }
        for one in (closed, open_)
    ]
    assert found == [{"127.0.0.1"}, {"0.0.0.0"}]
    assert "this machine only, without keys" in closed.log()
    assert "OTHER MACHINES TOO, WITHOUT KEYS" in open_.log()
    bar.record("127.0.0.1 alone", rounds=2)


METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
PATHS = ("/", "/api/chat", "/v1/chat/completions", "/v1/models", "/metrics", "/health", "/api/delete", "/nowhere")


def test_s24_foreign_hosts_and_pages_reach_nothing_by_any_method(serving: Any, bar: Any) -> None:
    live = serving('[models.sim]\nengine = "sim"\n')
    count = 0
    for method in METHODS:
        for path in PATHS:
            for lines, wanted in (
                ("Host: evil.example", 403),
                ("Host: localhost\r\nOrigin: https://evil.example", 403),
                ("Host: localhost\r\nX-Forwarded-Host: localhost\r\nOrigin: null", 403),
                ("X-Forwarded-Host: localhost", 400),
                ("Host: localhost\r\nHost: evil.example", 400),
            ):
                with live.connect() as one:
                    one.sendall(f"{method} {path} HTTP/1.1\r\n{lines}\r\nContent-Length: 0\r\n\r\n".encode())
                    head = one.recv(65536).decode("latin-1").lower()
                assert int(head.split()[1]) == wanted, (method, path, lines, head)
                assert "access-control-allow-origin" not in head
                count += 1
    assert live.ask("/v1/models", b"", method="GET", origin="http://localhost:3000")[0] == 200
    bar.record("0 let in", rounds=count)

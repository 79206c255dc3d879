"""Take away what the gateway leans on, for a minute under traffic, and measure who notices and for how long.

    python tests/faults/outages.py [--seconds 60] [disk|sqlite|postgres|hub|jwks ...]

Known keys' chats must go on, everything else is answered within 5 s (503 where it needs what is gone), and 5 s after
the end of the outage all is well. Needs root for a full disk (tmpfs), and PostgreSQL's own binaries for its server.
"""

from __future__ import annotations

import asyncio
import base64
import collections
import contextlib
import json
import os
import re
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec

sys.path.insert(0, str(Path(__file__).parent))
from attack import Reply, ask

from hyperllama.testing import child

CHAT = {"model": "m", "messages": [{"role": "user", "content": "hi"}], "stream": False, "max_tokens": 4}
CONFIG = """
[server]
port = 0
[models.m]
engine = "sim"
preload = true
"""
ISSUER = "https://issuer.example"
LIMIT = 5.5  # seconds within which anything is answered


def _part(value: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()


TOKEN = ".".join((_part({"alg": "RS256", "kid": "n"}), _part({"iss": ISSUER, "aud": "a", "exp": 2**33}), "c2ln"))


class Setting(msgspec.Struct, kw_only=True):
    """One outage: more configuration, more environment, and how to begin and end it."""

    name: str
    config: str = ""
    environ: dict[str, str] = {}
    outage: Any = None
    probes: tuple[str, ...] = ("files", "records", "usage", "unknown", "tags")
    gone: tuple[str, ...] = ()  # probes that are of use during the outage alone


def command(folder: Path, *arguments: str, environ: dict[str, str]) -> str:
    """Run one of the gateway's own commands in the store of ``folder``."""
    env = {**os.environ, "HYPERLLAMA_STORE_PATH": str(folder / "store"), **environ}
    line = [sys.executable, "-m", "hyperllama", "--config", str(folder / "config.toml"), *arguments]
    done = subprocess.run(line, env=env, cwd=folder, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout


# --- probes: what a caller may ask meanwhile ---


def multipart(name: str, content: bytes) -> tuple[bytes, str]:
    """A small upload for /v1/files, and its media type."""
    edge = "edge-of-a-part"
    head = f'--{edge}\r\nContent-Disposition: form-data; name="purpose"\r\n\r\nbatch\r\n'
    head += f'--{edge}\r\nContent-Disposition: form-data; name="file"; filename="{name}"\r\n\r\n'
    return head.encode() + content + f"\r\n--{edge}--\r\n".encode(), f"multipart/form-data; boundary={edge}"


async def probe(kind: str, port: int, key: str, admin: str) -> Reply:
    """One request of ``kind``."""
    line = b'{"custom_id":"a","method":"POST","url":"/v1/chat/completions","body":{}}\n'
    match kind:
        case "files":
            body, media = multipart("lines.jsonl", line * 400)
            return await ask(port, key, "/v1/files", body, headers={"content-type": media})
        case "records":
            return await ask(
                port, key, "/v1/responses", json.dumps({"model": "m", "input": "hi", "store": True}).encode()
            )
        case "usage":
            return await ask(port, admin, "/admin/v1/usage", b"", method="GET")
        case "unknown":
            return await ask(port, "hlg_" + "A" * 43, "/v1/models", b"", method="GET")
        case "tags":
            return await ask(port, key, "/api/tags", b"", method="GET")
        case "pull":
            pull = json.dumps({"model": f"hf.co/org/repo{time.monotonic_ns()}", "stream": False})
            return await ask(port, admin, "/api/pull", pull.encode(), budget=60)
        case "token":
            return await ask(port, TOKEN, "/v1/models", b"", method="GET")
        case _:
            raise ValueError(kind)


# --- outages ---


@contextlib.asynccontextmanager
async def full_disk(folder: Path, _: int) -> AsyncIterator[None]:
    """Fill the small file system that the store lies on."""
    filler = folder / "store" / "filler"

    def fill() -> None:
        with filler.open("ab", buffering=0) as sink, contextlib.suppress(OSError):
            for size in (2**20, 4096, 1):
                with contextlib.suppress(OSError):
                    while True:
                        sink.write(b"\0" * size)

    fill()
    task = asyncio.ensure_future(_again(fill))
    try:
        yield
    finally:
        task.cancel()
        filler.unlink()


async def _again(call: Callable[[], None]) -> None:
    while True:
        await asyncio.sleep(0.5)
        call()


@contextlib.asynccontextmanager
async def locked_sqlite(folder: Path, _: int) -> AsyncIterator[None]:
    """Hold SQLite's exclusive lock from another process's connection."""
    (file,) = [path for path in (folder / "store").rglob("*") if path.suffix in (".db", ".sqlite", ".sqlite3")]
    lock = sqlite3.connect(file, isolation_level=None, timeout=30)
    lock.execute("BEGIN EXCLUSIVE")
    try:
        yield
    finally:
        lock.execute("ROLLBACK")
        lock.close()


@contextlib.asynccontextmanager
async def stopped(_: Path, pid: int) -> AsyncIterator[None]:
    """SIGSTOP a server and all its processes."""
    import psutil

    everybody = [psutil.Process(pid), *psutil.Process(pid).children(recursive=True)]
    for each in everybody:
        each.send_signal(signal.SIGSTOP)
    try:
        yield
    finally:
        for each in psutil.Process(pid).children(recursive=True):
            each.send_signal(signal.SIGCONT)
        psutil.Process(pid).send_signal(signal.SIGCONT)


@contextlib.asynccontextmanager
async def nothing(_: Path, __: int) -> AsyncIterator[None]:
    """The outage is there from the start: a server that accepts and never answers."""
    yield


@contextlib.contextmanager
def silent_server() -> Iterator[int]:
    """Accept connections and never say a word; the port."""
    listener = socket.create_server(("127.0.0.1", 0), backlog=128)
    kept = []

    def accept() -> None:
        with contextlib.suppress(OSError):
            while True:
                kept.append(listener.accept()[0])

    thread = threading.Thread(target=accept, daemon=True)
    thread.start()
    try:
        yield listener.getsockname()[1]
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        for each in kept:
            each.close()


@contextlib.contextmanager
def postgres() -> Iterator[tuple[str, int]]:
    """A PostgreSQL server of our own: its URL and process."""
    binaries = max(Path("/usr/lib/postgresql").glob("*/bin"))
    folder = Path(tempfile.mkdtemp(prefix="hl-pg-"))
    shutil.chown(folder, "postgres", "postgres")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]

    def run(*line: str) -> None:
        subprocess.run(
            line, check=True, user="postgres", group="postgres", cwd=folder, stdout=subprocess.DEVNULL, timeout=60
        )

    run(str(binaries / "initdb"), "-D", f"{folder}/data", "-A", "trust", "-U", "gateway", "-E", "UTF8", "--no-sync")
    options = f"-p {port} -c listen_addresses=127.0.0.1 -c unix_socket_directories={folder} -c fsync=off"
    run(str(binaries / "pg_ctl"), "-D", f"{folder}/data", "-o", options, "-l", f"{folder}/log", "-w", "start")
    try:
        yield (
            f"postgresql://gateway@127.0.0.1:{port}/postgres",
            int((folder / "data/postmaster.pid").read_text().split()[0]),
        )
    finally:
        run(str(binaries / "pg_ctl"), "-D", f"{folder}/data", "-m", "immediate", "-w", "stop")
        shutil.rmtree(folder)


# --- one run ---


class Traffic:
    """Chats of a known key, and other requests, each kind one after the other."""

    def __init__(self, port: int, key: str, admin: str) -> None:
        self.chats: collections.Counter[int] = collections.Counter()
        self.slowest = 0.0
        self.replies: dict[str, list[Reply]] = collections.defaultdict(list)
        self.active = True
        self._began: dict[str, float] = {}
        self._port, self._key, self._admin = port, key, admin

    async def chat(self) -> int:
        """One chat of the known key; its status."""
        reply = await ask(self._port, self._key, "/v1/chat/completions", json.dumps(CHAT).encode())
        self.slowest = max(self.slowest, reply.seconds)
        return reply.status

    async def chat_on(self) -> None:
        while self.active:
            self.chats[await self.chat()] += 1
            await asyncio.sleep(0.05)

    async def probe(self, kind: str) -> Reply:
        return await probe(kind, self._port, self._key, self._admin)

    async def probe_on(self, kind: str) -> None:
        while self.active:
            self._began[kind] = time.monotonic()
            reply = await self.probe(kind)
            if self.active:
                self.replies[kind].append(reply)
            del self._began[kind]
            await asyncio.sleep(0.5)

    def worst(self, kind: str) -> float:
        """Seconds of the slowest request of ``kind``, of one that is still waiting, too."""
        waiting = time.monotonic() - self._began[kind] if kind in self._began else 0.0
        return max([waiting, *(reply.seconds for reply in self.replies[kind])])


async def run(setting: Setting, pid: int, seconds: float) -> bool:
    """Traffic before, during and after one outage; True when every bar holds."""
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        text = CONFIG + setting.config
        (folder / "config.toml").write_text(text)
        if setting.name == "disk":
            stack.callback(small_disk(folder / "store"))
        key = _key(folder, "known", ("infer", "models:read"), setting.environ)
        admin = _key(folder, "admin", ("infer", "models:read", "models:write", "admin"), setting.environ)
        process = child.start(folder, text, environ=setting.environ)
        stack.callback(process.wait, 60)
        stack.callback(process.terminate)
        port = child.wait_listening(folder / "log", process.pid)
        traffic = Traffic(port, key, admin)
        for _ in range(200):
            if await traffic.chat() == 200:
                break
            await asyncio.sleep(0.05)
        quick = [kind for kind in setting.probes if kind not in setting.gone]
        before = {kind: (await traffic.probe(kind)).status for kind in quick}
        async with asyncio.TaskGroup() as group:
            for _ in range(2):
                group.create_task(traffic.chat_on())
            await asyncio.sleep(1)
            async with setting.outage(folder, pid):
                for kind in setting.probes:
                    group.create_task(traffic.probe_on(kind))
                await asyncio.sleep(seconds)
                worst = {kind: traffic.worst(kind) for kind in setting.probes}
                traffic.active = False
            ended = time.monotonic()
        await asyncio.sleep(max(0.0, 5 - (time.monotonic() - ended)))
        after = {kind: (await traffic.probe(kind)).status for kind in quick}
        last = await traffic.chat()
        holds = set(traffic.chats) == {200} and after == before and last == 200
        chats = dict(traffic.chats)
        print(f"{setting.name}: {seconds:.0f} s; chats of a known key {chats}, slowest {traffic.slowest:.2f} s")
        for kind in setting.probes:
            statuses = collections.Counter(reply.status for reply in traffic.replies[kind])
            broken = worst[kind] > LIMIT or bool(set(statuses) - {200, 401, 503, 507})
            holds = holds and not broken
            mark = "  <--" if broken else ""
            print(f"  {kind:8} {dict(statuses)}, slowest {worst[kind]:.2f} s{mark}")
        changed = "" if after == before else f"  <-- before: {before}"
        tracebacks = (folder / "log").read_text(errors="replace").count("Traceback")
        print(f"  5 s after: {after}{changed}, chat {last}; tracebacks {tracebacks}")
        print(f"  {'holds' if holds and not tracebacks else 'DOES NOT HOLD'}", flush=True)
        return holds and not tracebacks


def small_disk(folder: Path) -> Callable[[], object]:
    """Mount a file system of 48 MiB; call what is returned to unmount it."""
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=48m", "none", str(folder)], check=True)
    return lambda: subprocess.run(["umount", "-l", str(folder)], check=True)


def _key(folder: Path, name: str, permissions: Sequence[str], environ: dict[str, str]) -> str:
    rights = [part for permission in permissions for part in ("--permission", permission)]
    return str(re.findall(r"hlg_\S+", command(folder, "keys", "create", name, *rights, environ=environ))[0])


def main(arguments: list[str]) -> int:
    seconds = 60.0
    if arguments[:1] == ["--seconds"]:
        seconds, arguments = float(arguments[1]), arguments[2:]
    holds = True
    for name in arguments or ["disk", "sqlite", "postgres", "hub", "jwks"]:
        with contextlib.ExitStack() as stack:
            pid = 0
            match name:
                case "disk":
                    setting = Setting(name=name, outage=full_disk)
                case "sqlite":
                    setting = Setting(name=name, outage=locked_sqlite)
                case "postgres":
                    url, pid = stack.enter_context(postgres())
                    setting = Setting(name=name, outage=stopped, config=f'[store]\ndatabase = "{url}"\n')
                case "hub":
                    endpoint = f"http://127.0.0.1:{stack.enter_context(silent_server())}"
                    probes = ("pull", "files", "tags", "records")
                    setting = Setting(
                        name=name, outage=nothing, environ={"HF_ENDPOINT": endpoint}, probes=probes, gone=("pull",)
                    )
                case "jwks":
                    url = f"http://127.0.0.1:{stack.enter_context(silent_server())}/keys"
                    table = f'[keys.jwt]\nissuer = "{ISSUER}"\naudience = "a"\njwks = "{url}"\n'
                    probes = ("token", "files", "tags", "records")
                    setting = Setting(name=name, outage=nothing, config=table, probes=probes, gone=("token",))
                case _:
                    print(__doc__)
                    return 2
            holds &= asyncio.run(run(setting, pid, seconds))
    return 0 if holds else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

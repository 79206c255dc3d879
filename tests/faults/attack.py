"""Attack a running gateway with an ordinary key, and measure what everybody else notices.

    python tests/faults/attack.py victim [seconds] [attackers]   # on MAX: one caller's chats beside attackers
    python tests/faults/attack.py hostile [count]                # small hostile requests: memory, log, answers of 500
    python tests/faults/attack.py each [pattern]                 # every attack on sim: what /health waits

The gateway is a process of its own; attackers are processes, too, so that their work does not show in the figures.
With ``--python PATH`` first it is the gateway of another environment, such as one from before a change.
"""

from __future__ import annotations

import asyncio
import collections
import contextlib
import hashlib
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

import msgspec

sys.path.insert(0, str(Path(__file__).parent))
from attack_bodies import Attack, attacks, mixed, multipart, queries, wire_fields

from hyperllama.testing import child

PYTHON = sys.executable  # of the gateway
KEYS = ("victim", "attacker")
CONFIG = """
[server]
port = 0
[logs]
level = "info"
[models.m]
preload = true
{model}
"""
MODELS = {
    "max": 'engine = "max"\nsource = "builtin:hyperllama-tiny"\nmax_batch_size = 16\nmax_length = 1024\n',
    "sim": 'engine = "sim"\n[models.m.options]\ncontext_length = 100000\nembedding = 8\n',
}
BUDGET = 20.0  # seconds that an attacker waits for an answer


class Reply(msgspec.Struct):
    """``status`` 0: no answer within the budget. ``gaps`` are seconds between pieces of the body."""

    status: int
    seconds: float
    gaps: list[float]
    body: bytes


def config(engine: str) -> str:
    keys = "".join(
        f'[keys.static.{name}]\nhash = "sha256:{hashlib.sha256(name.encode()).hexdigest()}"\n'
        f'permissions = ["infer", "models:read"]\n'
        for name in KEYS
    )
    return CONFIG.format(model=MODELS[engine]) + keys


async def ask(
    port: int,
    key: str,
    path: str,
    body: bytes,
    *,
    method: str = "POST",
    budget: float = BUDGET,
    headers: Mapping[str, str] = {},
) -> Reply:
    """Send one request on a connection of its own and read the answer to its end."""
    began = last = time.monotonic()
    status, gaps, got = 0, [], b""
    writer = None
    try:
        async with asyncio.timeout(budget):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            head = (
                f"{method} {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nAuthorization: Bearer {key}\r\n"
            )
            head += "".join(f"{name}: {value}\r\n" for name, value in headers.items())
            writer.write(f"{head}Content-Length: {len(body)}\r\n\r\n".encode())
            send = asyncio.ensure_future(_send(writer, body))
            while piece := await reader.read(65536):
                now = time.monotonic()
                if not status:
                    status = int(piece.split(b" ", 2)[1])
                else:
                    gaps.append(now - last)
                last = now
                got = (got + piece)[-100_000:]
            send.cancel()
    except (OSError, TimeoutError, asyncio.IncompleteReadError):
        pass
    finally:
        if writer is not None:
            writer.close()
    return Reply(status, time.monotonic() - began, gaps, got)


async def _send(writer: asyncio.StreamWriter, body: bytes) -> None:
    try:
        writer.write(body)
        await writer.drain()
    except OSError:
        pass  # the answer came before the body was read


@contextlib.contextmanager
def gateway(engine: str) -> Iterator[child.Server]:
    """Run the gateway with two ordinary keys and the model ``m``."""
    with tempfile.TemporaryDirectory() as folder:
        began = time.monotonic()
        process = child.start(Path(folder), config(engine), python=PYTHON)
        try:
            log = Path(folder) / "log"
            port = child.wait_listening(log, process.pid)
            yield child.Server(process.pid, port, time.monotonic() - began, log)
        finally:
            process.terminate()
            process.wait(60)


def percentile(values: list[float], share: float) -> float:
    ordered = sorted(values)
    return ordered[min(int(len(ordered) * share), len(ordered) - 1)] if ordered else 0.0


def rss(pid: int) -> int:
    """Resident bytes of a process."""
    return int(re.findall(r"VmRSS:\s+(\d+)", Path(f"/proc/{pid}/status").read_text())[0]) * 1024


# --- chats beside attackers ---

ORDINARY = {
    "model": "m",
    "messages": [{"role": "user", "content": "What port does the gateway listen on?"}],
    "max_tokens": 48,
    "min_tokens": 48,
    "ignore_eos": True,
    "stream": True,
}


async def chats(port: int, key: str, seconds: float) -> list[Reply]:
    """Chat after chat by one caller."""
    found, until = [], time.monotonic() + seconds
    while time.monotonic() < until:
        found.append(await ask(port, key, "/v1/chat/completions", msgspec.json.encode(ORDINARY), budget=60))
    return found


async def attacker(port: int, number: int, seconds: float) -> None:
    """Send the worst, one after the other; prints statuses as JSON."""
    worst: list[Attack] = attacks("m")
    statuses: collections.Counter[str] = collections.Counter()
    until, at = time.monotonic() + seconds, number * 7
    while time.monotonic() < until:
        each = worst[at % len(worst)]
        budget = min(BUDGET, until - time.monotonic() + 1)
        reply = await ask(
            port, "attacker", each.path, each.body, method=each.method, headers=each.headers, budget=budget
        )
        statuses[f"{reply.status} {each.name}"] += 1
        at += 1
    print(json.dumps(statuses))


async def ordinary(port: int, number: int, seconds: float) -> None:
    """Chat like the victim, as the load to compare with."""
    found = await chats(port, "attacker", seconds)
    print(json.dumps(collections.Counter(f"{reply.status} chat" for reply in found)))


async def _beside(port: int, kind: str, count: int, seconds: float) -> tuple[list[Reply], collections.Counter[str]]:
    command = [sys.executable, __file__, f"run-{kind}", str(port), str(seconds)]
    others = [
        await asyncio.create_subprocess_exec(*command, str(number), stdout=subprocess.PIPE) for number in range(count)
    ]
    await asyncio.sleep(1.0)
    found = await chats(port, "victim", seconds - 1)
    statuses: collections.Counter[str] = collections.Counter()
    for other in others:
        out, _ = await other.communicate()
        statuses.update(json.loads(out))
    return found, statuses


async def victim(seconds: float, count: int) -> int:
    """Compare one caller's gaps beside ``count`` attackers with those beside ``count`` ordinary callers."""
    with gateway("max") as server:
        await ready(server.port)
        figures = {}
        for kind in ("ordinary", "attacker"):
            found, statuses = await _beside(server.port, kind, count, seconds)
            gaps = [gap for reply in found for gap in reply.gaps]
            broken = [r for r in found if r.status != 200 or b'"error"' in r.body]
            figures[kind] = percentile(gaps, 0.99)
            by_status = collections.Counter(name.split()[0] for name in statuses.elements())
            print(
                f"beside {count} {kind} callers for {seconds:.0f} s: {len(found)} chats, {len(broken)} failed, "
                f"gap p50 {percentile(gaps, 0.5) * 1e3:.1f} ms, p99 {figures[kind] * 1e3:.1f} ms, "
                f"most {max(gaps, default=0) * 1e3:.0f} ms; the others' statuses {dict(by_status)}"
            )
            for reply in broken[:3]:
                print("  failed:", reply.status, reply.body[-300:])
            if kind == "attacker":
                for name, times in sorted(statuses.items()):
                    if name.startswith(("0 ", "5")):
                        print(f"  {name}: {times}")
        deaths = len(re.findall(r"engine (?:failed|died|stopped)|hung", server.log.read_text(errors="replace")))
        print(f"gap p99 {figures['attacker'] / figures['ordinary']:.2f} x; deaths of the engine in the log: {deaths}")
    return 0


async def ready(port: int) -> None:
    for _ in range(6000):
        if (await ask(port, "", "/ready", b"", method="GET")).status == 200:
            return
        await asyncio.sleep(0.1)
    raise RuntimeError("the gateway did not become ready")


# --- many small ones ---


async def hostile(count: int, parallel: int = 16) -> int:
    """Send ``count`` small hostile requests; memory and log are counted after the first tenth."""
    with gateway("sim") as server:
        await ready(server.port)
        draw = mixed("m", 7)
        statuses: collections.Counter[int] = collections.Counter()
        bad: dict[str, str] = {}
        left, faults = count, 0

        async def work() -> None:
            nonlocal left, faults
            while left > 0:
                left -= 1
                each = draw()
                reply = await ask(
                    server.port, "attacker", each.path, each.body, method=each.method, headers=each.headers
                )
                statuses[reply.status] += 1
                if is_fault(reply):
                    faults += 1
                    bad[f"{reply.status} {each.name}"] = each.body[:200].decode("latin-1")

        async def run(more: int) -> None:
            nonlocal left
            left = more
            async with asyncio.TaskGroup() as group:
                for _ in range(parallel):
                    group.create_task(work())

        await run(count // 10)
        before, written = rss(server.pid), server.log.stat().st_size
        began = time.monotonic()
        await run(count - count // 10)
        took = time.monotonic() - began
        done = count - count // 10
        text = server.log.read_text(errors="replace")
        print(f"{count} requests, {done / took:.0f}/s: statuses {dict(sorted(statuses.items()))}")
        print(f"memory +{(rss(server.pid) - before) / 2**20:.1f} MiB after the first tenth")
        size, longest = server.log.stat().st_size - written, max(map(len, text.splitlines()))
        print(f"log {size / done:.0f} bytes a request, longest line {longest}")
        print(f"unexpected 5xx or no answer {faults}, tracebacks {text.count('Traceback')}")
        for name, body in list(bad.items())[:20]:
            print(" ", name, body)
    return 1 if faults else 0


NOTICED = 0.1  # seconds that /health may wait longer than the control does
TRIES = 3  # a busy machine delays one of them, an attack all


#: Sentences with which Ollama itself answers 500.
_OWN = re.compile(rb'"error":"(?:template:|invalid format:|option )')


def is_fault(reply: Reply) -> bool:
    """Return True for no answer and for a 5xx that is not Ollama's own."""
    return reply.status == 0 or (reply.status >= 500 and _OWN.search(reply.body) is None)


def cpu(pid: int) -> float:
    """Return the processor seconds that a process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@contextlib.contextmanager
def control() -> Iterator[int]:
    """Run a server that has nothing else to do, and yield its port: how long it waits, the machine is to blame for."""
    with subprocess.Popen([sys.executable, __file__, "run-control"], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        try:
            yield int(process.stdout.readline())
        finally:
            process.terminate()


async def idle() -> None:
    """Answer every request with nothing, until terminated."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            await reader.readuntil(b"\r\n\r\n")
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
            await writer.drain()
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


class Noticed(msgspec.Struct):
    """One attack: its answer, what ``/health`` and the control waited, and the processor seconds of the gateway."""

    reply: Reply
    health: float
    control: float
    cpu: float

    @property
    def lag(self) -> float:
        return max(0.0, self.health - self.control)


async def attack_once(server: child.Server, beside: int, one: Attack) -> Noticed:
    """Send one attack and poll ``/health`` and the control at ``beside`` until it is answered."""
    before = cpu(server.pid)
    sender = asyncio.create_subprocess_exec(
        sys.executable, __file__, "run-one", str(server.port), stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    sent = await sender
    assert sent.stdout is not None
    await sent.stdout.readline()  # it has started
    task = asyncio.ensure_future(sent.communicate(msgspec.msgpack.encode(one)))
    found = Noticed(Reply(0, 0.0, [], b""), 0.0, 0.0, 0.0)
    while not task.done():
        health, other = await asyncio.gather(
            ask(server.port, "", "/health", b"", method="GET", budget=60),
            ask(beside, "", "/", b"", method="GET", budget=60),
        )
        found.health, found.control = max(found.health, health.seconds), max(found.control, other.seconds)
        await asyncio.sleep(0.005)
    found.reply = msgspec.msgpack.decode((await task)[0], type=Reply)
    found.cpu = cpu(server.pid) - before
    return found


async def send_one(port: int) -> None:
    """Send the attack that standard input has; write its answer, as MessagePack."""
    print(flush=True)
    one = msgspec.msgpack.decode(sys.stdin.buffer.read(), type=Attack)
    reply = await ask(port, "attacker", one.path, one.body, method=one.method, budget=60, headers=one.headers)
    sys.stdout.buffer.write(msgspec.msgpack.encode(reply))


async def each(pattern: str) -> int:
    """Send every attack of a matching name by itself, and measure how long ``/health`` waits meanwhile."""
    with gateway("sim") as server, control() as beside:
        await ready(server.port)
        slow, count = 0, 0
        print(f"{'attack':40} {'bytes':>10} {'status':>6} {'seconds':>8} {'cpu':>6} {'/health':>8} {'control':>8}")
        for one in attacks("m"):
            if not re.search(pattern, one.name):
                continue
            count += 1
            found = await attack_once(server, beside, one)
            for _ in range(TRIES - 1):
                if found.lag <= NOTICED or found.reply.status == 0:
                    break
                again = await attack_once(server, beside, one)
                found = min(found, again, key=lambda tried: tried.lag)
            late = found.lag > NOTICED or is_fault(found.reply)
            slow += late
            print(
                f"{one.name:40} {len(one.body):10} {found.reply.status:6} {found.reply.seconds:8.2f} {found.cpu:6.2f} "
                f"{found.health * 1e3:5.0f} ms {found.control * 1e3:5.0f} ms{'  <--' if late else ''}",
                flush=True,
            )
        print(f"{slow} of {count} attacks are noticed by others; memory {rss(server.pid) / 2**20:.0f} MiB")
    return 1 if slow else 0


def main(arguments: list[str]) -> int:
    global PYTHON
    if arguments[:1] == ["--python"]:
        PYTHON, arguments = arguments[1], arguments[2:]
    match arguments:
        case ["victim", *rest]:
            return asyncio.run(victim(float(rest[0]) if rest else 60.0, int(rest[1]) if len(rest) > 1 else 8))
        case ["hostile", *rest]:
            return asyncio.run(hostile(int(rest[0]) if rest else 50_000))
        case ["each", *rest]:
            return asyncio.run(each(rest[0] if rest else ""))
        case ["run-control"]:
            asyncio.run(idle())
        case ["run-one", port]:
            asyncio.run(send_one(int(port)))
        case ["run-attacker", port, seconds, number]:
            asyncio.run(attacker(int(port), int(number), float(seconds)))
        case ["run-ordinary", port, seconds, number]:
            asyncio.run(ordinary(int(port), int(number), float(seconds)))
        case _:
            print(__doc__)
            return 2
    return 0


__all__ = (
    "Attack",
    "ask",
    "attacks",
    "cpu",
    "gateway",
    "is_fault",
    "multipart",
    "queries",
    "ready",
    "wire_fields",
)

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

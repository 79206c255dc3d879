"""A campaign against the engine of one model while another answers: killed or stopped at a token, round after round.

python tests/support/killing.py [rounds] > a line for each round and the figures at the end
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path
from typing import Any

import httpx
import msgspec
import psutil

from hyperllama.testing.running import RunningGateway
from hyperllama_bench.load import percentile

CONFIG = """
[server]
port = 0
[models.witness]
source = "builtin:hyperllama-tiny"
max_length = 1024
max_batch_size = 8
keep_alive = -1
preload = true
[models.victim]
source = "builtin:hyperllama-tiny"
max_length = 1024
max_batch_size = 7  # other settings: a process of its own
keep_alive = -1
"""
LAST = 100  # tokens of a victim's answer
PLAN: tuple[tuple[signal.Signals, int], ...] = (
    (signal.SIGKILL, 0),
    (signal.SIGKILL, 1),
    (signal.SIGKILL, 50),
    (signal.SIGKILL, LAST),
    (signal.SIGSTOP, 1),
)
OPENAI, OLLAMA = "/v1/chat/completions", "/api/chat"
GRACE = 5.0  # seconds beyond its load in which a model is back
PATIENCE = 120.0


class Round(msgspec.Struct, kw_only=True):
    """``told``: seconds from the signal to the end of each stream; ``back``: until an answer; ``load``: of that."""

    signal: str
    token: int
    told: list[float]
    back: float = 0.0
    load: float = 0.0
    rested: bool = False  # it had died too often and said so, with a time, before it came back
    wrong: list[str] = []


class Stream:
    """One answer as a client sees it, in either dialect."""

    def __init__(self, client: httpx.AsyncClient, path: str, model: str, text: str, tokens: int) -> None:
        body: dict[str, Any] = {"model": model, "messages": [{"role": "user", "content": text}], "stream": True}
        # Long whatever the weights are: a list that no answer of this length completes.
        schema = {"type": "array", "minItems": 500, "items": {"enum": ["alpha", "beta", "gamma"]}}
        if path == OPENAI:
            body |= {"max_tokens": tokens, "guided_json": schema, "temperature": 1.0}
        else:
            body |= {"options": {"num_predict": tokens, "temperature": 1.0}, "format": schema}
        self._client, self._path, self._body = client, path, body
        self.lines: list[str] = []
        self.times: list[float] = []
        self.status = 0
        self.ended = 0.0
        self._reached: dict[int, asyncio.Event] = {}

    async def reach(self, token: int) -> None:
        """Wait for so many tokens, or the end."""
        event = self._reached[token] = asyncio.Event()
        if len(self.lines) < token and not self.ended:
            await event.wait()

    async def run(self) -> None:
        try:
            async with self._client.stream("POST", self._path, json=self._body) as answer:
                self.status = answer.status_code
                async for line in answer.aiter_lines():
                    if line:
                        self.lines.append(line)
                        self.times.append(time.monotonic())
                        if event := self._reached.get(len(self.lines)):
                            event.set()
        except httpx.HTTPError as error:
            self.lines.append(f"broken: {error!r}")
        self.ended = time.monotonic()
        for event in self._reached.values():
            event.set()

    @property
    def whole(self) -> bool:
        return bool(self.lines) and (self.lines[-1] == "data: [DONE]" or '"done":true' in self.lines[-1])

    def complaint(self) -> str:
        """What is wrong with its end; empty: it is whole, or ends with one well-formed error and nothing behind it."""
        if self.whole:
            return ""
        last = self.lines[-1] if self.lines else ""
        try:
            event = json.loads(last.removeprefix("data: "))
        except ValueError:
            return f"{self._path}: ends with {last[:80]!r}"
        if self.status != 200:
            return "" if self.status in (500, 502, 503) and "error" in event else f"{self._path}: status {self.status}"
        if list(event) != ["error"] or any('"error"' in line for line in self.lines[:-1]):
            return f"{self._path}: ends with {last[:80]!r}"
        return ""


class Campaign:
    def __init__(self, gateway: RunningGateway, client: httpx.AsyncClient) -> None:
        self._gateway = gateway
        self._client = client
        self._witnesses: set[int] = set()
        self.rounds: list[Round] = []
        self.witness: list[Stream] = []  # every answer of the other model
        self._over = False

    def hosts(self) -> list[int]:
        below = psutil.Process(self._gateway.process.pid).children(recursive=True)
        found = []
        for process in below:
            with contextlib.suppress(psutil.Error):
                if "hyperllama.host" in process.cmdline():
                    found.append(process.pid)
        return found

    def loads(self) -> list[float]:
        """Seconds of each load of the victim so far."""
        lines = [json.loads(line) for line in self._gateway.log().splitlines() if '"model loaded"' in line]
        return [line["seconds"] for line in lines if line["model"] == "victim"]

    async def run(self, rounds: int, tell: Callable[[Round], None] = lambda _: None) -> None:
        self._witnesses = set(self.hosts())
        watching = asyncio.create_task(self._watch())
        await self._answer("first")
        for number in range(rounds):
            kind, token = PLAN[number % len(PLAN)]
            self.rounds.append(await self._round(number, kind, token))
            tell(self.rounds[-1])
        self._over = True
        await watching

    async def _watch(self) -> None:
        while not self._over:
            stream = Stream(self._client, OPENAI, "witness", "a story", 150)
            self.witness.append(stream)
            await stream.run()

    async def _round(self, number: int, kind: signal.Signals, token: int) -> Round:
        (victim,) = set(self.hosts()) - self._witnesses
        streams = [
            Stream(self._client, path, "victim", f"round {number} of {path}, stream {n}", LAST + (n > 1) * 20)
            for n, path in enumerate((OPENAI, OLLAMA, OPENAI, OLLAMA))
        ]
        tasks = [asyncio.create_task(stream.run()) for stream in streams]
        await streams[0].reach(token)
        await asyncio.sleep(0 if token else 0.01)  # time to be admitted
        loaded = len(self.loads())
        began = time.monotonic()
        os.kill(victim, kind)
        await asyncio.wait(tasks, timeout=PATIENCE)
        found = Round(
            signal=kind.name, token=token, told=[stream.ended - began for stream in streams if not stream.whole]
        )
        found.wrong += [complaint for stream in streams if (complaint := stream.complaint())]
        found.wrong += [f"hangs after {PATIENCE:g} s" for task in tasks if not task.done()]
        found.rested = await self._answer(f"after round {number}", several=number % 5 == 2)
        found.back = time.monotonic() - began
        found.load = self.loads()[-1]
        if len(self.loads()) != loaded + 1:
            found.wrong.append(f"{len(self.loads()) - loaded} loads")
        return found

    async def _answer(self, text: str, *, several: bool = False) -> bool:
        """Ask until there is an answer; whether it was refused, with a time to ask again, in between."""
        body = {"model": "victim", "messages": [{"role": "user", "content": text}], "max_tokens": 1}
        rested = False
        while True:
            asked = [self._client.post(OPENAI, json=body) for _ in range(20 if several else 1)]
            answers = await asyncio.gather(*asked)
            if all(answer.status_code == 200 for answer in answers):
                return rested
            for answer in answers:
                if answer.status_code == 503:
                    rested = True
                    await asyncio.sleep(min(float(answer.headers["retry-after"]), 5.0))
                    break


@contextlib.asynccontextmanager
async def campaign(gateway: RunningGateway) -> AsyncIterator[Campaign]:
    limits = httpx.Limits(max_connections=None)
    async with httpx.AsyncClient(base_url=gateway.url, timeout=PATIENCE * 2, limits=limits) as client:
        yield Campaign(gateway, client)


def report(found: Campaign) -> Sequence[str]:
    """The figures, by kind of round."""
    lines = []
    for kind in dict.fromkeys(each.signal for each in found.rounds):
        rounds = [each for each in found.rounds if each.signal == kind]
        told = [seconds for each in rounds for seconds in each.told]
        over = [each.back - each.load for each in rounds if not each.rested]
        lines.append(
            f"{kind}: {len(rounds)} rounds, {len(told)} streams told after p50 {_ms(percentile(told, 0.5))}, "
            f"p99 {_ms(percentile(told, 0.99))}, most {_ms(max(told, default=0))}; back in service after its load and "
            f"p50 {percentile(over, 0.5):.2f} s, most {max(over, default=0):.2f} s; "
            f"{sum(each.rested for each in rounds)} rested first"
        )
    gaps = []
    for each in found.witness:
        # Lines that came together are one arrival.
        gaps += [gap for a, b in zip(each.times, each.times[1:], strict=False) if (gap := b - a) > 2e-4]
    lines.append(
        f"the other model: {len(found.witness)} answers, {sum(not each.whole for each in found.witness)} broken, gap "
        f"p50 {_ms(percentile(gaps, 0.5))}, p99 {_ms(percentile(gaps, 0.99))}, most {_ms(max(gaps, default=0))}"
    )
    return lines


def _ms(seconds: float) -> str:
    return f"{seconds * 1e3:.0f} ms"


def _tell(each: Round) -> None:
    told = ", ".join(map(_ms, each.told))
    print(f"{each.signal} at {each.token}: told after {told}; load {each.load:.1f} s, back {each.back:.1f} s")
    for wrong in each.wrong:
        print(f"  wrong: {wrong}")


async def main(rounds: int) -> None:
    sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]
    with tempfile.TemporaryDirectory(prefix="hyperllama-kill-") as folder:
        gateway = RunningGateway.launch(Path(folder), CONFIG)
        try:
            gateway.wait_listening()
            gateway.wait_ready()
            async with campaign(gateway) as found:
                await found.run(rounds, _tell)
        finally:
            gateway.stop()
    print("\n".join(report(found)))


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]) if len(sys.argv) > 1 else 20))

"""A worker for tests of the host: counts words out, one a step, with faults that the model's options ask for."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hyperllama.embedding import EmbeddingRequest, Embeddings
from hyperllama.errors import ContextTooLong, LoadFailed
from hyperllama.generation import GenerationRequest, TokenChunk, Usage
from hyperllama.host.worker import Channel, Pulse
from hyperllama.messages import Input, Prompt, PromptTokens
from hyperllama.models import LoadProgress, ModelInfo, ModelSpec
from hyperllama.spi import Report


class FakeWorker:
    """``options``: ``pace`` seconds a step, ``fault`` at step ``at``: kill, hang, gil, raise, fatal."""

    def __init__(self, channel: Channel) -> None:
        self._channel = channel
        self._options: dict[str, Any] = {}
        self._left: dict[int, int] = {}
        self._total: dict[int, int] = {}
        self._work = threading.Event()
        self._stopped = False
        self._steps = 0
        self._began = 0.0
        self._cancelled: list[int] = []

    def load(self, spec: ModelSpec, path: Path | None, settings: dict[str, Any], report: Report) -> ModelInfo:
        self._options = {**settings, **spec.options}
        if noise := self._options.get("noise"):
            sys.stderr.buffer.write(b"x" * (noise // 2) + b"\xff\xfe" + b"y" * (noise // 2) + b"\n")
            for _ in range(noise // 100):
                sys.stderr.buffer.write(b"z" * 99 + b"\n")
            sys.stderr.flush()
        report(LoadProgress("compiling", "a graph"))
        if self._options.get("load") == "fail":
            raise LoadFailed("no such luck")
        if self._options.get("load") == "crash":
            os.kill(os.getpid(), signal.SIGSEGV)
        if self._options.get("load") == "raise":
            raise ZeroDivisionError("by zero")
        if self._options.get("load") == "wait":
            threading.Event().wait()
        if self._options.get("child"):
            self._start_child()
        report(LoadProgress("warming"))
        return ModelInfo(
            name=spec.name,
            engine="fake",
            capabilities=frozenset({"completion"}),
            context_length=100,
            metadata={
                "environment": dict(os.environ),
                "cwd": str(Path.cwd()),
                "mode": Path.cwd().stat().st_mode & 0o777,
            },
        )

    def run(self) -> None:
        pace = self._options.get("pace", 0.0)
        while not self._stopped:
            if not self._left:
                self._work.wait(1)
                self._work.clear()
                continue
            self._began = time.monotonic()
            if pace:
                time.sleep(pace)
            chunks = []
            for number in list(self._left):
                left = self._left[number] = self._left[number] - 1
                chunks.append((number, self._chunk(number, left)))
                if not left:
                    del self._left[number]
            self._steps += 1
            self._began = 0.0
            self._channel.later(lambda chunks=chunks: self._channel.step(chunks))
            if self._options.get("fault") and self._steps >= self._options.get("at", 1):
                self._fail(self._options["fault"])

    def stop(self) -> None:
        self._stopped = True
        self._work.set()

    def pulse(self) -> Pulse:
        return Pulse(self._steps, time.monotonic() - self._began if self._began else 0.0, len(self._left))

    async def submit(self, id: int, request: GenerationRequest) -> None:
        if self._options.get("slow_admission"):
            await asyncio.sleep(self._options["slow_admission"])
        wanted = request.sampling.max_tokens or 10
        if wanted > 10_000:
            raise ContextTooLong("too much", param="max_tokens")
        if request.sampling.seed == 13:
            raise ZeroDivisionError("a bug")
        self._left[id] = self._total[id] = wanted
        self._work.set()

    def cancel(self, id: int) -> None:
        self._cancelled.append(id)
        self._left.pop(id, None)

    async def embed(self, request: EmbeddingRequest) -> Embeddings:
        return Embeddings(tuple(str(text).encode() for text in request.inputs), len(request.inputs))

    async def tokenize(self, input: Input, *, tools: Any = (), reasoning: Any = None) -> tuple[int, ...]:
        if isinstance(input, PromptTokens):
            return (self._steps, *self._left, *self._cancelled)
        assert isinstance(input, Prompt)
        if input.text.startswith("stall "):
            _sleep(float(input.text.split()[1]))
        return tuple(input.text.encode())

    async def detokenize(self, ids: Sequence[int]) -> str:
        return bytes(ids).decode()

    def _chunk(self, number: int, left: int) -> TokenChunk:
        total = self._total[number]
        text = f"{total - left} "
        return TokenChunk(text=text) if left else TokenChunk(text=text, finish_reason="stop", usage=Usage(1, total))

    def _start_child(self) -> None:
        import subprocess

        subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])

    def _fail(self, fault: str) -> None:
        match fault:
            case "kill":
                time.sleep(0.05)  # what was generated goes out
                os.kill(os.getpid(), signal.SIGKILL)
            case "gil":
                sys.setswitchinterval(1e9)
                while True:
                    pass
            case "raise":
                time.sleep(0.05)
                raise ZeroDivisionError("in the loop")
            case "hang":
                self._began = time.monotonic()
                self._left[-1] = 1
                threading.Event().wait()


def _sleep(seconds: float) -> None:
    """Hold up the I/O loop, as no worker should."""
    time.sleep(seconds)

"""The sim model in an engine host, where its faults end a real process."""

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
from hyperllama.errors import EngineFailed, GatewayError, LoadFailed
from hyperllama.generation import Effort, GenerationRequest, Rendering, TokenChunk, ToolSpec
from hyperllama.host import Channel, Pulse
from hyperllama.messages import Input
from hyperllama.models import LoadProgress, ModelInfo, ModelSpec
from hyperllama.spi import Report
from hyperllama_sim.batch import Batch, Place
from hyperllama_sim.describe import describe, phases
from hyperllama_sim.plan import plan
from hyperllama_sim.prompts import detokenize, tokenize
from hyperllama_sim.settings import SimOptions, options_of
from hyperllama_sim.threads import TokenizerThread, size_of
from hyperllama_sim.vectors import Embedder

CRASHED = 70  # the exit code of a load that dies


class SimWorker:
    """The worker of this engine's hosts. Its batch runs on the I/O loop; the main thread only waits."""

    def __init__(self, channel: Channel) -> None:
        self._channel = channel
        self._stopped = threading.Event()
        self._places: dict[int, Place] = {}
        self._chunks: list[tuple[int, TokenChunk]] = []
        self._errors: list[tuple[int, GatewayError]] = []
        self._memory = b""
        self._tokenizer = TokenizerThread()

    def load(self, spec: ModelSpec, path: Path | None, settings: dict[str, Any], report: Report) -> ModelInfo:
        """Load the model. ``settings["load"]`` counts its loads, this one included."""
        options = self._options = options_of(spec)
        begun = time.monotonic()
        for phase, until in phases():
            report(LoadProgress(phase, estimate=options.load_seconds))
            time.sleep(max(0.0, begun + options.load_seconds * until - time.monotonic()))
        if options.crash_load:
            os._exit(CRASHED)
        if fails(options, settings["load"]):
            raise LoadFailed(f"model {spec.name!r} did not load: {options.fail_load}")
        self._memory = os.urandom(1 << 20) * options.memory_mb
        self._info = describe(spec, options)
        self._embedder = Embedder(self._info, options, self._tokenizer)
        self._batch = Batch(options, spec.max_batch_size, on_crash=_die, on_hang=self._hang, on_step=self._flush)
        return self._info

    def run(self) -> None:
        self._stopped.wait()

    def stop(self) -> None:
        self._stopped.set()

    def pulse(self) -> Pulse:
        return Pulse(steps=self._batch.steps, active=self._batch.running + self._batch.waiting)

    async def submit(self, id: int, request: GenerationRequest) -> None:
        understood = await self._tokenizer.run(
            size_of(request.input),
            lambda: plan(request, self._options, self._info.context_length, self._info.system),
        )
        if self._options.stderr_bytes:
            await asyncio.to_thread(_flood, self._options.stderr_bytes, self._options.stderr_line)
        self._places[id] = self._batch.add(understood, _Outlet(id, self))

    def cancel(self, id: int) -> None:
        place = self._places.pop(id, None)
        if place is not None:
            self._batch.cancel(place)

    async def embed(self, request: EmbeddingRequest) -> Embeddings:
        return await self._embedder.embed(request)

    async def tokenize(
        self,
        input: Input,
        *,
        tools: Sequence[ToolSpec] = (),
        reasoning: bool | Effort | None = None,
        rendering: Rendering | None = None,
    ) -> tuple[int, ...]:
        """Return the ids of the prompt; neither tools nor thinking change it in this model."""
        system = self._info.system if rendering is None else rendering.system
        return await self._tokenizer.run(size_of(input), lambda: tokenize(input, system))

    async def detokenize(self, ids: Sequence[int]) -> str:
        return await self._tokenizer.run(len(ids), lambda: detokenize(ids))

    def put(self, id: int, chunk: TokenChunk) -> None:
        """Hold a chunk to be sent when the step is complete."""
        self._chunks.append((id, chunk))
        if chunk.finish_reason is not None:
            self._places.pop(id, None)

    def fail(self, id: int, error: Exception) -> None:
        """Hold an error to be sent when the step is complete."""
        self._places.pop(id, None)
        if not isinstance(error, GatewayError):
            error = EngineFailed(f"the engine raised {type(error).__name__}")
        self._errors.append((id, error))

    def _flush(self) -> None:
        chunks, self._chunks = self._chunks, []
        errors, self._errors = self._errors, []
        if chunks:
            self._channel.step(chunks)
        if errors:
            self._channel.fail(errors)

    def _hang(self) -> None:
        self._flush()
        if self._options.hang == "process":
            os.kill(os.getpid(), signal.SIGSTOP)


class _Outlet:
    """The outlet of one stream of the batch."""

    def __init__(self, id: int, worker: SimWorker) -> None:
        self._id = id
        self._worker = worker

    def put(self, chunk: TokenChunk) -> None:
        self._worker.put(self._id, chunk)

    def fail(self, error: Exception) -> None:
        self._worker.fail(self._id, error)


def fails(options: SimOptions, load: int) -> bool:
    """Return whether the load of this number, counted from 1, fails."""
    return options.fail_load is not None and not 0 < options.fail_loads < load


def _die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def _flood(size: int, line: int) -> None:
    """Write ``size`` bytes to standard error, not all of them UTF-8."""
    while size > 0:
        part = min(size, line)
        sys.stderr.buffer.write(b"\xff" * (part - 1) + b"\n")
        size -= part
    sys.stderr.buffer.flush()


__all__ = ("CRASHED", "SimWorker", "fails")

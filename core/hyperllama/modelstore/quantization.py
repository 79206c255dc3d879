"""Conversion of a model's GGUF files to another encoding, in a process of its own: the files are untrusted."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing

from hyperllama.errors import InvalidRequest, StoreFailed
from hyperllama.modelstore.blobs import Blobs, failed
from hyperllama.modelstore.manifests import Layer
from hyperllama.modelstore.shared_work import Report, SharedWork
from hyperllama.spi import Progress, Refused
from hyperllama.system.executors import Workers

SUPPORTED = ("F32", "Q4_0")  # what the engines here can load and the gguf library can write


def kind_of(text: str) -> str:
    """Return the encoding that ``text`` names in any case. Raise Refused."""
    kind = text.upper()
    if kind not in SUPPORTED:
        known = ", ".join(SUPPORTED)
        raise Refused(
            f"The encoding must be one of {known}.", reason="quantization", param="quantize", details=(kind, known)
        )
    return kind


class Reencoding:
    """A conversion. ``layers`` are the new ones once :meth:`watch` has ended; ``pins`` keeps their blobs meanwhile."""

    def __init__(self, layers: tuple[Layer, ...], kind: str, blobs: Blobs, pins: set[str], workers: Workers) -> None:
        self.layers = layers
        self._kind = kind
        self._blobs = blobs
        self._pins = pins
        self._workers = workers

    async def watch(self) -> AsyncGenerator[Progress, None]:
        """Do the work and yield its progress; closing this ends it. Raises InvalidRequest, StoreFailed."""
        if not any(_is_gguf(layer) for layer in self.layers):
            raise Refused("Only GGUF files can be quantized.", reason="quantize_format", param="quantize")
        self._pins |= {layer.digest for layer in self.layers}
        shared = SharedWork(self._work, "quantize")
        async with aclosing(shared.watch()) as steps:
            async for step in steps:
                yield step

    async def _work(self, shared: SharedWork) -> None:
        made = []
        for layer in self.layers:
            made.append(await self._made(layer, shared) if _is_gguf(layer) else layer)
            self._pins.add(made[-1].digest)
        self.layers = tuple(made)

    async def _made(self, layer: Layer, shared: SharedWork) -> Layer:
        return await self._workers.run(lambda: self._one(layer, shared))

    def _one(self, layer: Layer, shared: SharedWork) -> Layer:
        try:
            return requantized(layer, self._kind, self._blobs, report=shared.report, check=shared.check)
        except OSError as error:
            raise failed(error) from error


def _is_gguf(layer: Layer) -> bool:
    return layer.filename.lower().endswith(".gguf")


def requantized(layer: Layer, kind: str, blobs: Blobs, *, report: Report, check: Callable[[], None]) -> Layer:
    """Return ``layer`` as a new blob. ``check`` raises to stop. Blocks. Raises InvalidRequest, StoreFailed."""
    with blobs.open(layer.digest) as source, blobs.partial(None) as (name, target):
        fds = (source.fileno(), target.fileno())
        paths = [f"/proc/self/fd/{fd}" for fd in fds]
        command = [sys.executable, "-P", "-m", "hyperllama.modelstore.quantize_process", *paths, kind]
        with subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, pass_fds=fds, text=True
        ) as child:
            try:
                _follow(child, kind, blobs, report=report, check=check)
            finally:
                child.kill()
        digest, size = blobs.keep(name, target, want=None)
    return Layer(layer.filename, digest, size)


def _follow(
    child: subprocess.Popen[str], kind: str, blobs: Blobs, *, report: Report, check: Callable[[], None]
) -> None:
    assert child.stdout is not None  # noqa: S101 - it was asked for
    done = False
    encodings, total = ("", ""), 0
    for line in child.stdout:
        check()
        said = json.loads(line)
        match said:
            case {"error": "source"}:
                raise Refused("Only F16 and F32 models can be quantized.", reason="quantize_source", param="quantize")
            case {"error": str(text)}:
                raise InvalidRequest(text, param="quantize")
            case {"from": str(before), "total": int(total)}:
                blobs.need(total)
                encodings = (before, kind)
            case {"completed": int(completed)}:
                done = completed == total
                report(Progress("quantizing", "", total, completed, encodings))
    if child.wait() != 0 or not done:
        raise StoreFailed("the model could not be quantized: its file is damaged, or the gguf library is not installed")


__all__ = ("SUPPORTED", "Reencoding", "kind_of", "requantized")

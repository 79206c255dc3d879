"""A model that runs whole batches, the smallest engine for ``hyperllama.spi.GeneratesBatches``."""

from __future__ import annotations

from collections.abc import Sequence

from hyperllama.errors import GatewayError
from hyperllama.generation import GenerationRequest
from hyperllama.models import ModelInfo
from hyperllama.stream import TokenStream
from hyperllama_sim.model import SimModel
from hyperllama_sim.settings import SimOptions


class StaticSimModel(SimModel):
    """The loaded model. ``batches`` holds the sizes of the batches it received."""

    def __init__(self, info: ModelInfo, options: SimOptions) -> None:
        super().__init__(info, options)
        self.batches: list[int] = []

    async def generate_batch(self, requests: Sequence[GenerationRequest]) -> Sequence[TokenStream]:
        self.batches.append(len(requests))
        streams: list[TokenStream] = []
        try:
            for request in requests:
                streams.append(await self.generate(request))  # noqa: PERF401 - what is begun must be known
        except GatewayError:
            for stream in streams:
                await stream.aclose()
            raise
        return streams


__all__ = ("StaticSimModel",)

"""Gathering on the gateway's own loop, whose timers are whole milliseconds and otherwise no timers at all."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import uvloop

from hyperllama.config import Queue
from hyperllama.embedding import EmbeddingRequest, Embeddings
from hyperllama.queue.embed_batches import EmbedBatcher

CLIENTS, ROUNDS = 16, 20


class Quick:
    """Answers within a millisecond, so that a batch waits for less than one."""

    def __init__(self) -> None:
        self.sizes: list[int] = []

    async def embed(self, request: EmbeddingRequest) -> Embeddings:
        self.sizes.append(len(request.inputs))
        await asyncio.sleep(0.001)
        return Embeddings(vectors=tuple(text.encode() for text in request.inputs), prompt_tokens=len(request.inputs))


async def _clients(batcher: EmbedBatcher, model: Quick) -> Sequence[list[bytes]]:
    async def client(number: int) -> list[bytes]:
        got = []
        for _ in range(ROUNDS):
            answer = await batcher.embed(model, EmbeddingRequest(model="m", inputs=(f"{number}",)))
            got += answer.vectors
        return got

    return await asyncio.wait_for(asyncio.gather(*map(client, range(CLIENTS))), 30)


def test_waits_shorter_than_the_loop_can_time_lose_nobody() -> None:
    model = Quick()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        answers = runner.run(_clients(EmbedBatcher(Queue()), model))
    assert answers == [[f"{number}".encode()] * ROUNDS for number in range(CLIENTS)]
    assert max(model.sizes) > 1

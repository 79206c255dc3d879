"""Texts to vectors by MAX's embedding pipeline; cut, counted and normalised here, because it does none of that."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Final

from hyperllama.embedding import EmbeddingRequest, Embeddings
from hyperllama.errors import ContextTooLong, EngineFailed, InvalidRequest
from hyperllama.host import Deadline, Jobs
from hyperllama_max.loop import SchedulerLoop
from hyperllama_max.pooling import Pooling
from hyperllama_max.vocabulary import Vocabulary

_INPUT: Final = 64  # characters that an input costs, beside its own


class Embedder:
    """An encoder model. Called on the I/O thread; texts are encoded on others."""

    def __init__(
        self,
        loop: SchedulerLoop,
        vocabulary: Vocabulary,
        jobs: Jobs,
        *,
        limit: int,
        size: int,
        pooling: Pooling = Pooling(),
    ) -> None:
        """Take ``limit``, the most tokens of an input, and ``size``, that of the model's vocabulary."""
        self._pooling = pooling
        self._loop = loop
        self._vocabulary = vocabulary
        self._jobs = jobs
        self._limit = limit
        self._size = size
        self._waiting: dict[Any, asyncio.Future[Any]] = {}

    async def embed(self, request: EmbeddingRequest) -> Embeddings:
        cost = sum(len(text) + _INPUT for text in request.inputs)
        read = await self._jobs.run(lambda deadline: self._read(request, deadline), cost=cost)
        contexts = [context for context, _, _ in read]
        futures = [asyncio.get_running_loop().create_future() for _ in contexts]
        self._waiting.update(zip((context.request_id for context in contexts), futures, strict=True))
        self._loop.submit(*contexts)
        try:
            rows = await asyncio.gather(*futures)
        finally:
            for context in contexts:
                self._waiting.pop(context.request_id, None)
                self._loop.cancel(context.request_id)
        finish = _finisher(request, self._pooling)
        counts = tuple(count for _, count, _ in read)
        cut = tuple(shortened for _, _, shortened in read)
        return Embeddings(tuple(finish(row) for row in rows), sum(counts), input_tokens=counts, cut=cut)

    def deliver(self, request_id: Any, result: Any) -> None:
        """Take a result of the scheduler."""
        self._loop.forget(request_id)
        future = self._waiting.pop(request_id, None)
        if future is None or future.done():
            return
        if result.result is None:
            future.set_exception(EngineFailed(f"The engine failed while it embedded: {result.error or 'cancelled'}."))
        else:
            future.set_result(result.result.embeddings)

    def _read(self, request: EmbeddingRequest, deadline: Deadline) -> list[tuple[Any, int, bool]]:
        """Return for each input its context, its length in tokens, and whether some were cut off."""
        read = []
        for text in request.inputs:
            deadline.check()
            ids, cut = self._ids(text, request)
            read.append((self._context(ids), len(ids), cut))
        return read

    def _ids(self, text: str | tuple[int, ...], request: EmbeddingRequest) -> tuple[list[int], bool]:
        """Return the ids of an input, and whether some were cut off."""
        if isinstance(text, str):
            ids = self._vocabulary.encode_plain(text.lower() if self._pooling.lowercase else text)
        else:
            ids = list(text)
            if ids and not (min(ids) >= 0 and max(ids) < self._size):
                raise InvalidRequest(f"A token id is not in the model's vocabulary of {self._size}.", param="input")
        if not ids:
            raise InvalidRequest("An input is empty.", param="input")
        if len(ids) > self._limit:
            if not request.truncate:
                raise ContextTooLong(
                    f"This model's maximum context length is {self._limit} tokens. However, an input has "
                    f"{len(ids)} tokens. Please shorten it, or let it be truncated.",
                    param="input",
                )
            # An encoder was trained to see its closing special token.
            tail = ids[-1:] if ids[-1] in self._vocabulary.special_ids else []
            return ids[: self._limit - len(tail)] + tail, True
        return ids, False

    def _context(self, ids: list[int]) -> Any:
        import numpy as np
        from max.pipelines.context import TextContext, TokenBuffer
        from max.pipelines.request import RequestID

        tokens = TokenBuffer(np.asarray(ids, dtype=np.int64))
        return TextContext(request_id=RequestID(), max_length=self._limit + 1, tokens=tokens)


def _finisher(request: EmbeddingRequest, pooling: Pooling) -> Callable[[Any], bytes]:
    """Return a function from a row of the engine to the bytes of a vector."""
    import numpy as np

    def finish(row: Any) -> bytes:
        vector = np.asarray(row if pooling.by_engine else pooling.pool(row), dtype="<f4").reshape(-1)
        if pooling.normalize:
            vector = vector / max(float(np.linalg.norm(vector)), 1e-12)
        if request.dimensions is not None:
            if not 0 < request.dimensions <= len(vector):
                raise InvalidRequest(f"dimensions must be between 1 and {len(vector)}.", param="dimensions")
            vector = vector[: request.dimensions]
        if request.normalize or request.dimensions is not None:
            vector = vector / max(float(np.linalg.norm(vector)), 1e-12)
        return vector.astype("<f4").tobytes()

    return finish


__all__ = ("Embedder",)

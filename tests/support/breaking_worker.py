"""The real worker, but a request with seed 13 raises in the engine's step."""

from __future__ import annotations

from typing import Any

from hyperllama.generation import GenerationRequest
from hyperllama_max.worker import MaxWorker


class BreakingWorker(MaxWorker):
    async def submit(self, id: int, request: GenerationRequest) -> None:
        if request.sampling.seed == 13:
            loop = self._started()
            plain = loop.submit

            def sabotaged(context: Any) -> None:
                context.sampling_params.logits_processors = [_raise]
                plain(context)

            loop.submit = sabotaged  # type: ignore[method-assign]
            try:
                await super().submit(id, request)
            finally:
                loop.submit = plain  # type: ignore[method-assign]
        else:
            await super().submit(id, request)


def _raise(inputs: Any) -> None:
    raise ValueError("poison")

"""Calls to send through gates."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import pytest

from hyperllama.embedding import EmbeddingRequest
from hyperllama.generation import GenerationRequest, Sampling, Usage
from hyperllama.identity import Caller, Principal
from hyperllama.messages import Prompt
from hyperllama.models import ModelInfo
from hyperllama.spi import Call, Outcome

MakeCall: TypeAlias = Callable[..., Call]


@pytest.fixture
def make_call() -> MakeCall:
    def make(
        principal: Principal | str = "one",
        *,
        prompt: str = "1234",
        max_tokens: int | None = 10,
        model: str = "m",
        places: int = 2,
        inputs: tuple[str, ...] = (),
    ) -> Call:
        who = Principal(id=principal) if isinstance(principal, str) else principal
        request: GenerationRequest | EmbeddingRequest
        if inputs:
            request = EmbeddingRequest(model=model, inputs=inputs)
        else:
            request = GenerationRequest(model=model, input=Prompt(prompt), sampling=Sampling(max_tokens=max_tokens))
        info = ModelInfo(
            name=model,
            engine="sim",
            capabilities=frozenset({"completion", "embedding"}),
            context_length=4096,
            max_batch_size=places,
        )
        return Call(caller=Caller(protocol="test", principal=who, request_id="r"), request=request, info=info)

    return make


@pytest.fixture
def end() -> Callable[..., object]:
    """Ends a call as the pipeline does."""

    async def finish(call: Call, outcome: Outcome = "finished", usage: Usage | None = None) -> None:
        call.outcome = outcome
        call.usage = usage
        await call.finish()

    return finish

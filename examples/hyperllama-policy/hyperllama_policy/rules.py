"""The rules, one for each kind of hook."""

from __future__ import annotations

import hmac
import re
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import msgspec
import structlog

from hyperllama.errors import InvalidRequest
from hyperllama.generation import GenerationRequest, TokenChunk
from hyperllama.identity import LOCAL, Credentials, Principal
from hyperllama.models import ModelInfo
from hyperllama.spi import Call, CallNext, Gateway, Transform
from hyperllama.stream import TokenStream

log = structlog.get_logger("hyperllama_policy")


class PassPhrase:
    """An auth provider: all callers that send one pass phrase are the same guest."""

    name = "policy"

    def __init__(self, phrase: str) -> None:
        self._phrase = phrase.encode()
        self._guest = Principal(id="policy:guest", name="guest", permissions=frozenset({"infer", "models:read"}))

    async def authenticate(self, credentials: Credentials) -> Principal | None:
        """Return the guest for the pass phrase; None for any other key, which another provider may know."""
        sent = (credentials.token or "").encode()
        return self._guest if hmac.compare_digest(sent, self._phrase) else None


class PromptLength:
    """A gate: refuse a prompt that is too long for this organisation, before the queue."""

    order = 50

    def __init__(self, most: int) -> None:
        self._most = most

    async def enter(self, call: Call) -> None:
        """Raise InvalidRequest for a generation whose prompt is too long by a guess at its text."""
        if isinstance(call.request, GenerationRequest):
            size = len(msgspec.json.encode(call.request.input)) // 4
            if size > self._most:
                raise InvalidRequest(f"A prompt has at most {self._most} tokens here.", param="messages")


class AnswerLength:
    """A stage: cap the answer's length, whatever the client sends."""

    order = 100

    def __init__(self, most: int) -> None:
        self._most = most

    async def __call__(self, call: Call, call_next: CallNext) -> TokenStream:
        """Lower ``max_tokens`` and call the next stage; its stream is returned as it is."""
        if isinstance(call.request, GenerationRequest):
            wanted = call.request.sampling.max_tokens
            most = self._most if wanted is None else min(wanted, self._most)
            sampling = msgspec.structs.replace(call.request.sampling, max_tokens=most)
            call.request = msgspec.structs.replace(call.request, sampling=sampling)
        return await call_next(call)


class MaskDigits:
    """A transform that replaces each digit of an answer with a dot."""

    def feed(self, chunk: TokenChunk) -> TokenChunk:
        """Return ``chunk`` with a dot for each digit; nothing is held back."""
        return msgspec.structs.replace(chunk, text=re.sub(r"\d", "\u2022", chunk.text))


def digits_masked(request: GenerationRequest, info: ModelInfo) -> Transform | None:
    """Return the transform of one answer, for models with ``reasoning_parser = "mask-digits"``."""
    return MaskDigits()


@asynccontextmanager
async def models_reported(gateway: Gateway) -> AsyncGenerator[None, None]:
    """Log the models when the gateway starts, and log its end."""
    names = [info.name for info in gateway.models(LOCAL)]
    log.info("policy is in force", models=names)
    try:
        yield
    finally:
        log.info("policy ends")


__all__ = ("AnswerLength", "MaskDigits", "PassPhrase", "PromptLength", "digits_masked", "models_reported")

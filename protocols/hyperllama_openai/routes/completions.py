"""POST /v1/completions."""

from __future__ import annotations

import time
from collections.abc import Sequence

from litestar import post
from litestar.response.base import ASGIResponse
from litestar.types import ControllerRouterHandler

from hyperllama.generation import TokenChunk, Usage
from hyperllama.identity import Caller
from hyperllama.messages import Prompt, PromptTokens
from hyperllama.spi import Gateway
from hyperllama.stream import ChunkQueue, TokenStream
from hyperllama.web import GatewayRequest, InjectedGateway, TokenResponse, caller
from hyperllama_openai import fanout, ids
from hyperllama_openai.body import read
from hyperllama_openai.decode.completions import completions as decode
from hyperllama_openai.encode import completions as encode
from hyperllama_openai.encode import sse
from hyperllama_openai.encode.completions_stream import CompletionEncoder
from hyperllama_openai.reply import Timed
from hyperllama_openai.settings import Settings
from hyperllama_openai.wire.completions import Completion, CompletionRequest


def routes(settings: Settings) -> Sequence[ControllerRouterHandler]:
    @post(
        ["/v1/completions", "/completions"],
        status_code=200,
        opt={
            "permission": "infer",
            "encodings": ("zstd",),
            "accepts": CompletionRequest,
            "answers": Completion,
            "streams": sse.MEDIA_TYPE,
        },
    )
    async def completions(request: GatewayRequest, gateway: InjectedGateway) -> ASGIResponse:
        wire = await read(request, CompletionRequest, strict=settings.strict)
        plan = decode(wire, gateway.model(wire.model, request.user), settings)
        who = caller(request, "openai")
        completion_id, created = ids.new("cmpl-"), int(time.time())
        echoes = [await _text(prompt, wire.model, gateway, who) if wire.echo else "" for prompt in plan.prompts]
        with_stop, token_ids = bool(wire.include_stop_str_in_output), bool(wire.return_token_ids)
        usage = wire.stream_options is not None and bool(wire.stream_options.include_usage)

        async def count(prompt: Prompt | PromptTokens) -> int:
            return len(await gateway.tokenize(wire.model, prompt, who))

        if wire.stream:
            encoder = CompletionEncoder(
                id=completion_id,
                created=created,
                model=wire.model,
                echoes=[echo for echo in echoes for _ in range(plan.n)],
                n=plan.n,
                include_usage=usage,
                logprobs=wire.logprobs,
                with_stop=with_stop,
                token_ids=token_ids,
            )

            async def start() -> Sequence[TokenStream]:
                if not plan.requests:
                    return [_nothing(await count(prompt)) for prompt in plan.prompts for _ in range(plan.n)]
                return await fanout.start(gateway, plan.requests, who)

            return TokenResponse(start, encoder, headers=sse.HEADERS)

        async def work() -> bytes:
            if not plan.requests:
                found = [(echo, await count(prompt)) for echo, prompt in zip(echoes, plan.prompts, strict=True)]
                return encode.echoed(found, id=completion_id, created=created, model=wire.model, n=plan.n)
            return encode.completion(
                await fanout.whole(gateway, plan.requests, who),
                id=completion_id,
                created=created,
                model=wire.model,
                echoes=echoes,
                n=plan.n,
                candidates=plan.candidates,
                logprobs=wire.logprobs,
                with_stop=with_stop,
                token_ids=token_ids,
            )

        return Timed(work)

    return (completions,)


async def _text(prompt: Prompt | PromptTokens, model: str, gateway: Gateway, who: Caller) -> str:
    return prompt.text if isinstance(prompt, Prompt) else await gateway.detokenize(model, prompt.ids, who)


def _nothing(prompt_tokens: int) -> TokenStream:
    """A generation of no tokens."""
    queue = ChunkQueue()
    queue.put(TokenChunk(tokens=0, finish_reason="length", usage=Usage(prompt_tokens=prompt_tokens)))
    return TokenStream(queue)


__all__ = ("routes",)

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
from hyperllama.web import BodyReader, GatewayRequest, InjectedGateway, Resource, TokenResponse, caller, route
from hyperllama_openai import fanout, ids
from hyperllama_openai.decode.completions import Plan
from hyperllama_openai.decode.completions import completions as decode
from hyperllama_openai.encode import completions as encode
from hyperllama_openai.encode import sse
from hyperllama_openai.encode.completions_stream import CompletionEncoder
from hyperllama_openai.encode.shape import ReplyShape
from hyperllama_openai.reply import Timed
from hyperllama_openai.settings import Settings
from hyperllama_openai.wire.completions import Completion, CompletionRequest


class CompletionRoutes(Resource):
    """Plain completions, streamed or whole."""

    def __init__(self, settings: Settings, reader: BodyReader) -> None:
        self._settings = settings
        self._reader = reader

    @property
    def handlers(self) -> Sequence[ControllerRouterHandler]:
        """The route handlers, to be mounted by the protocol."""
        declared = route(
            permission="infer",
            encodings=("zstd",),
            accepts=CompletionRequest,
            answers=Completion,
            streams=sse.MEDIA_TYPE,
        )
        return (post("/completions", status_code=200, opt=declared)(self.completions),)

    async def completions(self, request: GatewayRequest, gateway: InjectedGateway) -> ASGIResponse:
        """Complete one or several prompts."""
        body = await self._reader.read(request, CompletionRequest, strict=self._settings.strict)
        wire = body.value
        plan = await body.run(decode, wire, gateway.model(wire.model, request.user), self._settings)
        who = caller(request, "openai")
        echoes = [await _text(prompt, wire.model, gateway, who) if wire.echo else "" for prompt in plan.prompts]
        shape = ReplyShape(
            id=ids.new("cmpl-"),
            created=int(time.time()),
            model=wire.model,
            n=plan.n,
            include_usage=wire.stream_options is not None and bool(wire.stream_options.include_usage),
            logprobs=wire.logprobs,
            with_stop=bool(wire.include_stop_str_in_output),
            token_ids=bool(wire.return_token_ids),
        )
        return (_stream if wire.stream else _whole)(gateway, plan, who, shape, echoes)


def _stream(gateway: Gateway, plan: Plan, who: Caller, shape: ReplyShape, echoes: Sequence[str]) -> ASGIResponse:
    async def start() -> Sequence[TokenStream]:
        if not plan.requests:
            counts = [await _count(prompt, shape.model, gateway, who) for prompt in plan.prompts for _ in range(plan.n)]
            return [_nothing(count) for count in counts]
        return await fanout.start(gateway, plan.requests, who)

    encoder = CompletionEncoder(shape, echoes=[echo for echo in echoes for _ in range(plan.n)])
    return TokenResponse(start, encoder, headers=sse.HEADERS)


def _whole(gateway: Gateway, plan: Plan, who: Caller, shape: ReplyShape, echoes: Sequence[str]) -> ASGIResponse:
    async def work() -> bytes:
        if not plan.requests:
            counts = [await _count(prompt, shape.model, gateway, who) for prompt in plan.prompts]
            return encode.echoed(list(zip(echoes, counts, strict=True)), shape)
        found = await fanout.whole(gateway, plan.requests, who)
        return encode.completion(found, shape, echoes=echoes, candidates=plan.candidates)

    return Timed(work)


async def _text(prompt: Prompt | PromptTokens, model: str, gateway: Gateway, who: Caller) -> str:
    return prompt.text if isinstance(prompt, Prompt) else await gateway.detokenize(model, prompt.ids, who)


async def _count(prompt: Prompt | PromptTokens, model: str, gateway: Gateway, who: Caller) -> int:
    return len(await gateway.tokenize(model, prompt, who))


def _nothing(prompt_tokens: int) -> TokenStream:
    """Return a generation of no tokens."""
    queue = ChunkQueue()
    queue.put(TokenChunk(tokens=0, finish_reason="length", usage=Usage(prompt_tokens=prompt_tokens)))
    return TokenStream(queue)


__all__ = ("CompletionRoutes",)

"""``/api/generate`` and ``/api/chat``: load, unload, answer. The order of the checks is Ollama's."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeAlias

import msgspec
from litestar import post
from litestar.handlers import HTTPRouteHandler
from litestar.response.base import ASGIResponse

from hyperllama.errors import InvalidRequest, UnsupportedFeature
from hyperllama.generation import Completion, GenerationRequest
from hyperllama.identity import Caller
from hyperllama.messages import Input, Prompt, PromptTokens
from hyperllama.models import Capability, ModelInfo
from hyperllama.spi import Gateway
from hyperllama.stream import TokenStream, collect
from hyperllama.web import GatewayRequest, InjectedGateway, TokenResponse, WholeResponse, caller, route
from hyperllama_ollama import described, kept_context, names, options, resolve, truncate, wire
from hyperllama_ollama.decode import bodies, requests
from hyperllama_ollama.encode import replies, whole
from hyperllama_ollama.encode.lines import ChatLines, GenerateLines
from hyperllama_ollama.encode.text import quote
from hyperllama_ollama.errors import JSON
from hyperllama_ollama.kept_context import Kept
from hyperllama_ollama.routes.answers import BodyDecoder, Builder, OrError, before, json, one
from hyperllama_ollama.template import Budget

Open: TypeAlias = Callable[[], Awaitable[TokenStream]]


class Inference:
    """The two routes. ``builder`` renders prompts, ``decoder`` reads bodies."""

    def __init__(self, builder: Builder, decoder: BodyDecoder) -> None:
        self._builder = builder
        self._decoder = decoder
        self.handlers: tuple[HTTPRouteHandler, ...] = (
            post(
                "/api/generate",
                status_code=200,
                opt=route(
                    permission="infer",
                    accepts=described.GENERATE,
                    answers=replies.Generated,
                    streams=GenerateLines.media_type,
                ),
                before_request=before,
                name="generate",
            )(self.generate),
            post(
                "/api/chat",
                status_code=200,
                opt=route(
                    permission="infer", accepts=described.CHAT, answers=replies.Chatted, streams=ChatLines.media_type
                ),
                before_request=before,
                name="chat",
            )(self.chat),
        )

    async def generate(self, request: GatewayRequest, gateway: InjectedGateway) -> ASGIResponse:
        """Answer a prompt; without one, load the model, or unload it."""
        who = caller(request, "ollama")
        raw = await request.body()
        asked, body = await self._decoder.read(bodies.generate, raw)
        requests.check_logprobs(asked)
        info = resolve.resolve(gateway, asked.model, who.principal, resolve.GENERATE)
        if not asked.prompt and asked.keep_alive == 0:
            return await _unload(gateway, info, who, whole.generate_state(asked.model, "unload"))
        if asked.raw and (asked.template or asked.system or asked.context):
            raise InvalidRequest("raw mode does not support template, system, or context", param="raw")
        requests.check_think(asked, info)
        if "completion" not in info.capabilities:
            raise InvalidRequest(f"{quote(asked.model)} does not support generate", param="model")
        if asked.suffix:
            _check_capability(info, "insert")
        if not asked.prompt:
            options.parse(asked.options)
            return _load(gateway, info, who, asked.keep_alive, lambda: whole.generate_state(asked.model, "load"))
        generation = await self._builder.build(lambda budget: requests.generate(asked, body, info, budget=budget), raw)

        may = asked.truncate is not False

        async def ready() -> GenerationRequest:
            return await self._after_context(gateway, generation, asked, info, who) if asked.context else generation

        async def open_() -> TokenStream:
            return await truncate.generate(gateway, await ready(), who, info, truncate=may)

        async def ids() -> tuple[int, ...]:
            return await truncate.render(gateway, await ready(), who, info, truncate=may)

        top = asked.top_logprobs if asked.logprobs else 0
        if asked.debug_render_only:
            images = len(asked.images)
            return _render(
                gateway, info.name, who, ids, lambda text: whole.generate_rendered(asked.model, text, images)
            )
        if asked.stream is False:
            return _whole(open_, lambda found: whole.generated(asked.model, found, context=not asked.raw, top=top))
        return OrError(TokenResponse(one(open_), GenerateLines(asked.model, context=not asked.raw, top=top)))

    async def chat(self, request: GatewayRequest, gateway: InjectedGateway) -> ASGIResponse:
        """Answer a conversation; without messages, load the model, or unload it."""
        who = caller(request, "ollama")
        raw = await request.body()
        asked, body = await self._decoder.read(bodies.chat, raw)
        requests.check_logprobs(asked)
        info = resolve.resolve(gateway, asked.model, who.principal, resolve.CHAT)
        if not asked.messages and asked.keep_alive == 0:
            return await _unload(gateway, info, who, whole.chat_state(asked.model, "unload"))
        requests.check_think(asked, info)
        if not info.capabilities & {"completion", "chat"}:
            raise InvalidRequest(f"{quote(asked.model)} does not support chat", param="model")
        if asked.tools:
            _check_capability(info, "tools")
        if not asked.messages:
            options.parse(asked.options)
            return _load(gateway, info, who, asked.keep_alive, lambda: whole.chat_state(asked.model, "load"))
        generation = await self._builder.build(lambda budget: requests.chat(asked, body, info, budget=budget), raw)

        async def shortened(start: int, question: bool) -> tuple[Input, int]:
            def make(budget: Budget) -> tuple[Input, int]:
                said = requests.shortened(asked, start, question=question)
                lost = len(asked.messages) - len(said.messages)
                return requests.chat(said, body, info, budget=budget).input, lost

            return await self._builder.build(make, raw)

        shorter = None
        if isinstance(generation.input, Prompt):  # of a template in Go's language
            shorter = truncate.Shorter(len(asked.messages), shortened)

        may = asked.truncate is not False

        async def open_() -> TokenStream:
            return await truncate.generate(gateway, generation, who, info, truncate=may, shorter=shorter)

        async def ids() -> tuple[int, ...]:
            return await truncate.render(gateway, generation, who, info, truncate=may, shorter=shorter)

        top = asked.top_logprobs if asked.logprobs else 0
        if asked.debug_render_only:
            images = sum(len(message.images) for message in asked.messages)
            return _render(gateway, info.name, who, ids, lambda text: whole.chat_rendered(asked.model, text, images))
        if asked.stream is False:
            return _whole(open_, lambda found: whole.chatted(asked.model, found, top=top))
        return OrError(TokenResponse(one(open_), ChatLines(asked.model, top=top)))

    async def _after_context(
        self,
        gateway: Gateway,
        generation: GenerationRequest,
        asked: wire.GenerateRequest,
        info: ModelInfo,
        who: Caller,
    ) -> GenerationRequest:
        """Put the new turn behind the earlier ones as the client kept them, without a second beginning of text."""
        if asked.images or asked.suffix:
            raise InvalidRequest("context cannot be combined with images or suffix", param="context")
        turn = await self._builder.build(lambda budget: requests.turn(asked, info, budget=budget), asked.prompt)
        new = await gateway.tokenize(info.name, turn, who, reasoning=generation.reasoning)
        begin = await gateway.tokenize(info.name, Prompt(""), who)
        if begin and new[: len(begin)] == begin:
            new = new[len(begin) :]
        first = len(begin) if begin and asked.context[: len(begin)] == begin else 0
        ids = (*asked.context, *new)
        if asked.truncate is not False:
            room = truncate.context(generation, info)
            ids = kept_context.cut(Kept(ids, len(new), first), room, truncate.reserve(generation, room))
        return msgspec.structs.replace(generation, input=PromptTokens(ids), system=None)


def _check_capability(info: ModelInfo, wanted: Capability) -> None:
    if wanted not in info.capabilities:
        raise UnsupportedFeature(f"{names.full(info.name)} does not support {wanted}", param="model")


async def _unload(gateway: Gateway, info: ModelInfo, who: Caller, reply: bytes) -> ASGIResponse:
    await gateway.unload(info.name, who)
    return json(reply)


def _load(
    gateway: Gateway, info: ModelInfo, who: Caller, keep_alive: float | None, reply: Callable[[], bytes]
) -> ASGIResponse:
    async def work() -> bytes:
        await gateway.load(info.name, who, keep_alive=keep_alive)
        return reply()

    return WholeResponse(work, JSON)


def _whole(open_: Open, encode: Callable[[Completion], bytes]) -> ASGIResponse:
    async def work() -> bytes:
        return encode(await collect(await open_()))

    return WholeResponse(work, JSON)


def _render(
    gateway: Gateway,
    model: str,
    who: Caller,
    ids: Callable[[], Awaitable[tuple[int, ...]]],
    encode: Callable[[str], bytes],
) -> ASGIResponse:
    async def work() -> bytes:
        return encode(await gateway.detokenize(model, await ids(), who))

    return WholeResponse(work, JSON)


__all__ = ("Inference",)

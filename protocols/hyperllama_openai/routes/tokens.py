"""POST /tokenize and /detokenize, as vLLM has them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from litestar import get, post
from litestar.response.base import ASGIResponse
from litestar.types import ControllerRouterHandler
from msgspec import UNSET

from hyperllama.generation import ToolSpec
from hyperllama.identity import Principal
from hyperllama.messages import Input
from hyperllama.models import ModelInfo
from hyperllama.spi import Gateway
from hyperllama.web import BodyReader, GatewayRequest, InjectedGateway, Resource, caller, route
from hyperllama_openai.decode.tokens import tokens as decode
from hyperllama_openai.decode.tools import tools as offered
from hyperllama_openai.encode import sse
from hyperllama_openai.errors import MissingParameter
from hyperllama_openai.reply import Timed
from hyperllama_openai.settings import Settings
from hyperllama_openai.wire.models import (
    Detokenized,
    DetokenizeRequest,
    TokenizeRequest,
    TokenizerInfo,
    TokenizerQuery,
    Tokens,
)


class TokenRoutes(Resource):
    """Text to token ids and back."""

    def __init__(self, settings: Settings, reader: BodyReader) -> None:
        self._settings = settings
        self._reader = reader

    @property
    def handlers(self) -> Sequence[ControllerRouterHandler]:
        """The route handlers, to be mounted by the protocol."""
        tokens = route(permission="infer", accepts=TokenizeRequest, answers=Tokens)
        text = route(permission="infer", accepts=DetokenizeRequest, answers=Detokenized)
        about = route(permission="infer", query=TokenizerQuery, answers=TokenizerInfo)
        return (
            post("/tokenize", status_code=200, opt=tokens)(self.tokenize),
            post("/detokenize", status_code=200, opt=text)(self.detokenize),
            get("/tokenizer_info", opt=about)(self.tokenizer_info),
        )

    async def tokenize(self, request: GatewayRequest, gateway: InjectedGateway) -> ASGIResponse:
        """Return the token ids of a prompt, or of messages through the chat template."""
        body = await self._reader.read(request, TokenizeRequest, strict=self._settings.strict)
        wire = body.value
        name = wire.model or only(gateway, request.user)
        info = gateway.model(name, request.user)

        def decoded() -> tuple[Input, tuple[ToolSpec, ...]]:
            return decode(wire, self._settings), offered(wire.tools).specs

        prompt, tools = await body.run(decoded)
        who = caller(request, "openai")

        async def work() -> bytes:
            held: list[Sequence[Any]] = [await gateway.tokenize(name, prompt, who, tools=tools)]
            if wire.return_token_strs:
                held.append(await gateway.token_texts(name, held[0], who))
            return await body.run(_encoded, held, info.context_length)

        return Timed(work)

    async def detokenize(self, request: GatewayRequest, gateway: InjectedGateway) -> ASGIResponse:
        """Return the text of token ids."""
        body = await self._reader.read(request, DetokenizeRequest, strict=self._settings.strict)
        wire = body.value
        name = wire.model or only(gateway, request.user)
        who = caller(request, "openai")

        async def work() -> bytes:
            text = await gateway.detokenize(name, wire.tokens, who)
            return await body.run(sse.JSON.encode, Detokenized(prompt=text, content=text))

        return Timed(work)

    async def tokenizer_info(self, request: GatewayRequest, gateway: InjectedGateway) -> ASGIResponse:
        """Return the special tokens and the chat template of a model."""
        name = self._reader.query(request, TokenizerQuery).model or only(gateway, request.user)
        info = gateway.model(name, request.user)
        who = caller(request, "openai")
        ids = {kind: special(info, kind) for kind in ("bos", "eos", "pad")}

        async def work() -> bytes:
            known = [number for number in ids.values() if number is not None]
            texts = dict(zip(known, await gateway.token_texts(name, known, who), strict=True)) if known else {}
            return sse.JSON.encode(
                TokenizerInfo(
                    model=name,
                    model_max_length=info.context_length,
                    vocab_size=info.vocab_size,
                    chat_template=info.template or None,
                    **{
                        f"{kind}_token": texts.get(-1 if found is None else found) or None
                        for kind, found in ids.items()
                    },
                )
            )

        return Timed(work)


def only(gateway: Gateway, principal: Principal) -> str:
    """Return the one model that a request can mean which names none. Raise MissingParameter."""
    infos = [info for info in gateway.models(principal) if {"completion", "chat"} & info.capabilities]
    if len(infos) != 1:
        infos = [running.info for running in gateway.running(principal) if running.info in infos]
    if len(infos) != 1:
        raise MissingParameter("Missing required parameter: 'model'.", param="model")
    return infos[0].name


def special(info: ModelInfo, kind: str) -> int | None:
    """Return the id of a special token, from a model's config.json or GGUF header."""
    for key in (f"{kind}_token_id", f"tokenizer.ggml.{kind}_token_id", "tokenizer.ggml.padding_token_id"):
        value = info.metadata.get(key) if kind == "pad" or "padding" not in key else None
        found = value[0] if isinstance(value, list) and value else value
        if isinstance(found, int) and 0 <= found < max(info.vocab_size, 1):
            return found
    return None


def _encoded(held: list[Sequence[Any]], context: int) -> bytes:
    """Return the answer, and leave ``held`` empty: to free millions of texts takes as long as to make them."""
    tokens, *texts = held
    held.clear()
    strings = texts.pop() if texts else UNSET
    return sse.JSON.encode(Tokens(count=len(tokens), max_model_len=context, tokens=tokens, token_strs=strings))


__all__ = ("TokenRoutes",)

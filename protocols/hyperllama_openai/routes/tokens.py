"""POST /tokenize and /detokenize, as vLLM has them."""

from __future__ import annotations

from collections.abc import Sequence

from litestar import post
from litestar.response.base import ASGIResponse
from litestar.types import ControllerRouterHandler
from msgspec import UNSET, UnsetType

from hyperllama.generation import ToolSpec
from hyperllama.messages import Input
from hyperllama.web import BodyReader, GatewayRequest, InjectedGateway, Resource, caller, route
from hyperllama_openai.decode.tokens import tokens as decode
from hyperllama_openai.decode.tools import tools as offered
from hyperllama_openai.encode import sse
from hyperllama_openai.reply import Timed
from hyperllama_openai.settings import Settings
from hyperllama_openai.wire.models import Detokenized, DetokenizeRequest, TokenizeRequest, Tokens


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
        return (
            post("/tokenize", status_code=200, opt=tokens)(self.tokenize),
            post("/detokenize", status_code=200, opt=text)(self.detokenize),
        )

    async def tokenize(self, request: GatewayRequest, gateway: InjectedGateway) -> ASGIResponse:
        """Return the token ids of a prompt, or of messages through the chat template."""
        body = await self._reader.read(request, TokenizeRequest, strict=self._settings.strict)
        wire = body.value
        info = gateway.model(wire.model, request.user)

        def decoded() -> tuple[Input, tuple[ToolSpec, ...]]:
            return decode(wire, self._settings), offered(wire.tools)

        prompt, tools = await body.run(decoded)
        who = caller(request, "openai")

        async def work() -> bytes:
            found = await gateway.tokenize(wire.model, prompt, who, tools=tools)
            strings: list[str] | UnsetType = UNSET
            if wire.return_token_strs:
                strings = list(await gateway.token_texts(wire.model, found, who))
            answer = Tokens(count=len(found), max_model_len=info.context_length, tokens=list(found), token_strs=strings)
            return await body.run(sse.JSON.encode, answer)

        return Timed(work)

    async def detokenize(self, request: GatewayRequest, gateway: InjectedGateway) -> ASGIResponse:
        """Return the text of token ids."""
        body = await self._reader.read(request, DetokenizeRequest, strict=self._settings.strict)
        wire = body.value
        who = caller(request, "openai")

        async def work() -> bytes:
            text = await gateway.detokenize(wire.model, wire.tokens, who)
            return await body.run(sse.JSON.encode, Detokenized(prompt=text, content=text))

        return Timed(work)


__all__ = ("TokenRoutes",)

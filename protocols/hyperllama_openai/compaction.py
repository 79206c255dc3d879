"""Compaction passes: the model's summary of a conversation, made for itself or before an answer."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from hyperllama.errors import EngineFailed
from hyperllama.generation import GenerationRequest, Usage
from hyperllama.identity import Caller
from hyperllama.models import ModelInfo
from hyperllama.spi import Gateway
from hyperllama.stream import TokenStream
from hyperllama.web import ParsedBody
from hyperllama_openai.decode import compaction as decode
from hyperllama_openai.decode import summaries
from hyperllama_openai.decode.responses import responses
from hyperllama_openai.decode.toolbox import Toolbox
from hyperllama_openai.settings import Settings
from hyperllama_openai.wire.responses import Item, ResponsesRequest

_WORTH = 4  # a pass must be able to shorten the conversation by one part of so many


async def summary(gateway: Gateway, generation: GenerationRequest, who: Caller) -> tuple[str, Usage]:
    """Return the text of a summary, and what it cost. Raise GatewayError.

    A summary without text is an error: the client would drop its conversation for nothing.
    """
    text: list[str] = []
    usage = None
    stream = await gateway.generate(generation, who)
    try:
        while chunks := await stream.batch():
            text += [chunk.text for chunk in chunks]
            usage = chunks[-1].usage or usage
    finally:
        await stream.aclose()
    found = "".join(text).strip()
    if usage is None or not found:
        raise EngineFailed("The model wrote no summary.")
    return found, usage


class Compacting:
    """The generation of one response, whose conversation is summarized first if it is over a threshold."""

    def __init__(
        self,
        gateway: Gateway,
        who: Caller,
        body: ParsedBody[ResponsesRequest],
        items: Sequence[Item],
        info: ModelInfo,
        settings: Settings,
        box: Toolbox,
        *,
        threshold: int,
        on_summary: Callable[[str, Usage], None],
    ) -> None:
        """Take ``on_summary``, which is called with a summary in its opaque form and its cost."""
        self._gateway = gateway
        self._who = who
        self._body = body
        self._items = items
        self._info = info
        self._settings = settings
        self._box = box
        self._threshold = threshold
        self._on_summary = on_summary

    async def generate(self, generation: GenerationRequest) -> TokenStream:
        """Return the stream of ``generation``, or of its like with the summarized conversation. Raise GatewayError."""
        cut = decode.last_turn(self._items)
        if await self._worthwhile(generation, cut):
            before, rest, owner = self._items[:cut], self._items[cut:], self._who.principal.id
            asked = await self._body.run(
                decode.summarizing, self._body.value, before, self._info, self._settings, owner=owner
            )
            text, usage = await summary(self._gateway, asked, self._who)
            sealed = summaries.seal(text, owner)
            self._on_summary(sealed, usage)
            generation = await self._decoded([*before, Item(type="compaction", encrypted_content=sealed), *rest])
        return await self._gateway.generate(generation, self._who)

    async def _worthwhile(self, generation: GenerationRequest, cut: int) -> bool:
        """Return whether the conversation is too long, and not for the user's own words, which stay."""
        tokens = await self._tokens(generation)
        if tokens <= self._threshold or not cut:
            return False
        kept = decode.kept(self._items)
        return not kept or (tokens - await self._tokens(await self._decoded(kept))) * _WORTH >= tokens

    async def _tokens(self, generation: GenerationRequest) -> int:
        found = await self._gateway.tokenize(
            generation.model,
            generation.input,
            self._who,
            tools=generation.tools,
            reasoning=generation.reasoning,
        )
        return len(found)

    async def _decoded(self, items: Sequence[Item]) -> GenerationRequest:
        owner = self._who.principal.id
        return await self._body.run(
            responses, self._body.value, items, self._info, self._settings, self._box, owner=owner
        )


__all__ = ("Compacting", "summary")

"""Images that a request names by URL, put in their places before it is read: decoding stays pure."""

from __future__ import annotations

import asyncio
from base64 import b64encode
from typing import TypeVar

from msgspec.structs import replace

from hyperllama.models import ModelInfo
from hyperllama.web import Fetcher, NotFetched
from hyperllama_anthropic import wire
from hyperllama_anthropic.errors import invalid

R = TypeVar("R", bound=wire.PromptFields)


async def images(request: R, info: ModelInfo, remote: Fetcher) -> R:
    """Raises InvalidRequest for one that cannot be fetched. Nothing is, for a model that sees no images."""
    if not remote or "vision" not in info.capabilities:
        return request
    inline = _Inline(remote)
    turns = [
        replace(turn, content=[await inline.block(block, f"messages.{at}.content.{n}") for n, block in _listed(turn)])
        if isinstance(turn.content, list)
        else turn
        for at, turn in enumerate(request.messages)
    ]
    return replace(request, messages=turns)


def _listed(turn: wire.InputMessage) -> enumerate[wire.Block]:
    return enumerate(turn.content if isinstance(turn.content, list) else ())


class _Inline:
    """The images of one request: so many, and so many bytes of all together."""

    def __init__(self, remote: Fetcher) -> None:
        self._remote = remote
        self._count = 0
        self._left = wire.MAX_FETCHED_BYTES

    async def block(self, block: wire.Block, param: str) -> wire.Block:
        content = block.content
        if isinstance(content, list):
            content = [
                replace(inner, source=await self._source(inner, f"{param}.content.{index}.source"))
                for index, inner in enumerate(content)
            ]
        return replace(block, content=content, source=await self._source(block, f"{param}.source"))

    async def _source(self, block: wire.Block | wire.InnerBlock, param: str) -> wire.Source | None:
        source = block.source
        if block.type != "image" or source is None or source.type != "url" or source.url is None:
            return source
        self._count += 1
        if self._count > wire.MAX_IMAGES:
            raise invalid("messages", f"at most {wire.MAX_IMAGES} images are allowed")
        try:
            data = await self._remote.fetch(source.url, max_bytes=min(wire.MAX_IMAGE_BYTES, self._left))
        except NotFetched as error:
            raise invalid(f"{param}.url", f"the image cannot be fetched: {error}") from error
        self._left -= len(data)
        return wire.Source(type="base64", data=(await asyncio.to_thread(b64encode, data)).decode("ascii"))


__all__ = ("images",)

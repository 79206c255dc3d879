"""Images that a request names by URL, put in their places before it is read: decoding stays pure."""

from __future__ import annotations

import asyncio
from base64 import b64encode
from typing import TypeVar

from msgspec.structs import replace

from hyperllama.models import ModelInfo
from hyperllama.web import Fetcher, NotFetched
from hyperllama_openai.errors import InvalidImage, InvalidValue
from hyperllama_openai.wire import limits
from hyperllama_openai.wire.chat import ChatRequest, ContentPart, ImageUrl
from hyperllama_openai.wire.responses import Item, Part

P = TypeVar("P", ContentPart, Part)


async def chat(request: ChatRequest, info: ModelInfo, remote: Fetcher) -> ChatRequest:
    """Raises InvalidImage for one that cannot be fetched. Nothing is, for a model that sees no images."""
    if not _wanted(info, remote):
        return request
    inline = _Inline(remote)
    messages = [
        replace(message, content=await inline.parts(message.content, f"messages[{index}].content"))
        if isinstance(message.content, list)
        else message
        for index, message in enumerate(request.messages)
    ]
    return replace(request, messages=messages)


async def items(found: list[Item], info: ModelInfo, remote: Fetcher) -> list[Item]:
    """The same for input items of a response."""
    if not _wanted(info, remote):
        return found
    inline = _Inline(remote)
    return [
        replace(
            item,
            content=await inline.parts(item.content, f"input[{index}].content")
            if isinstance(item.content, list)
            else item.content,
            output=await inline.parts(item.output, f"input[{index}].output")
            if isinstance(item.output, list)
            else item.output,
        )
        for index, item in enumerate(found)
    ]


def _wanted(info: ModelInfo, remote: Fetcher) -> bool:
    return bool(remote) and "vision" in info.capabilities


class _Inline:
    """The images of one request: so many, and so many bytes of all together."""

    def __init__(self, remote: Fetcher) -> None:
        self._remote = remote
        self._count = 0
        self._left = limits.MAX_FETCHED_BYTES

    async def parts(self, parts: list[P], param: str) -> list[P]:
        return [await self._part(part, f"{param}[{index}]") for index, part in enumerate(parts)]

    async def _part(self, part: P, param: str) -> P:
        url = part.image_url.url if isinstance(part.image_url, ImageUrl) else part.image_url
        if url is None or not url[:8].lower().startswith(("http:", "https:")):
            return part
        self._count += 1
        if self._count > limits.MAX_IMAGES:
            raise InvalidValue(f"At most {limits.MAX_IMAGES} images are allowed.", param=param)
        try:
            data = await self._remote.fetch(url, max_bytes=min(limits.MAX_IMAGE_BYTES, self._left))
        except NotFetched as error:
            raise InvalidImage(
                f"The image in '{param}' cannot be fetched: {error}.", param=f"{param}.image_url"
            ) from error
        self._left -= len(data)
        text = await asyncio.to_thread(b64encode, data)
        return replace(part, image_url=f"data:;base64,{text.decode('ascii')}")


__all__ = ("chat", "items")

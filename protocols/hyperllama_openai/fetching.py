"""Images that a request names by URL, put in their places before it is decoded: decoding stays pure."""

from __future__ import annotations

from typing import TypeVar

from msgspec.structs import replace

from hyperllama.models import ModelInfo
from hyperllama.web import MAX_IMAGES, Fetcher, InlineImages, NotFetched, TooManyImages
from hyperllama_openai.errors import InvalidImage, InvalidValue
from hyperllama_openai.wire.chat import ChatRequest, ContentPart, ImageUrl
from hyperllama_openai.wire.responses import Item, Part

P = TypeVar("P", ContentPart, Part)


async def chat(request: ChatRequest, info: ModelInfo, fetcher: Fetcher) -> ChatRequest:
    """Return ``request`` with its images inline; as it is for a model that sees none. Raise InvalidImage."""
    if not _wanted(info, fetcher):
        return request
    images = InlineImages(fetcher)
    messages = [
        replace(message, content=await _parts(message.content, f"messages[{index}].content", images))
        if isinstance(message.content, list)
        else message
        for index, message in enumerate(request.messages)
    ]
    return replace(request, messages=messages)


async def items(found: list[Item], info: ModelInfo, fetcher: Fetcher) -> list[Item]:
    """Return the input items of a response with their images inline. Raise InvalidImage."""
    if not _wanted(info, fetcher):
        return found
    images = InlineImages(fetcher)
    return [
        replace(
            item,
            content=await _parts(item.content, f"input[{index}].content", images)
            if isinstance(item.content, list)
            else item.content,
            output=await _parts(item.output, f"input[{index}].output", images)
            if isinstance(item.output, list)
            else item.output,
        )
        for index, item in enumerate(found)
    ]


def _wanted(info: ModelInfo, fetcher: Fetcher) -> bool:
    return bool(fetcher) and "vision" in info.capabilities


async def _parts(parts: list[P], param: str, images: InlineImages) -> list[P]:
    return [await _part(part, f"{param}[{index}]", images) for index, part in enumerate(parts)]


async def _part(part: P, param: str, images: InlineImages) -> P:
    url = part.image_url.url if isinstance(part.image_url, ImageUrl) else part.image_url
    if url is None or not url[:8].lower().startswith(("http:", "https:")):
        return part
    try:
        text = await images.fetch(url)
    except TooManyImages as error:
        raise InvalidValue(f"At most {MAX_IMAGES} images are allowed.", param=param) from error
    except NotFetched as error:
        raise InvalidImage(f"The image in '{param}' cannot be fetched: {error}.", param=f"{param}.image_url") from error
    return replace(part, image_url=f"data:;base64,{text}")


__all__ = ("chat", "items")

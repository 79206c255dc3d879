"""Images that a request names by URL, put in their places before it is decoded: decoding stays pure."""

from __future__ import annotations

from typing import TypeVar

from msgspec.structs import replace

from hyperllama.models import ModelInfo
from hyperllama.web import MAX_IMAGES, Fetcher, InlineImages, NotFetched, TooManyImages
from hyperllama_anthropic import wire
from hyperllama_anthropic.errors import invalid

R = TypeVar("R", bound=wire.PromptFields)


async def images(request: R, info: ModelInfo, fetcher: Fetcher) -> R:
    """Return ``request`` with its images inline; as it is for a model that sees none. Raise InvalidRequest."""
    if not fetcher or "vision" not in info.capabilities:
        return request
    found = InlineImages(fetcher)
    turns = [
        replace(
            turn,
            content=[
                await _block(block, f"messages.{at}.content.{index}", found) for index, block in enumerate(turn.content)
            ],
        )
        if isinstance(turn.content, list)
        else turn
        for at, turn in enumerate(request.messages)
    ]
    return replace(request, messages=turns)


async def _block(block: wire.Block, param: str, images: InlineImages) -> wire.Block:
    content = block.content
    if isinstance(content, list):
        content = [
            replace(inner, source=await _source(inner, f"{param}.content.{index}.source", images))
            for index, inner in enumerate(content)
        ]
    return replace(block, content=content, source=await _source(block, f"{param}.source", images))


async def _source(block: wire.Block | wire.InnerBlock, param: str, images: InlineImages) -> wire.Source | None:
    source = block.source
    if block.type != "image" or source is None or source.type != "url" or source.url is None:
        return source
    try:
        return wire.Source(type="base64", data=await images.fetch(source.url))
    except TooManyImages as error:
        raise invalid("messages", f"at most {MAX_IMAGES} images are allowed") from error
    except NotFetched as error:
        raise invalid(f"{param}.url", f"the image cannot be fetched: {error}") from error


__all__ = ("images",)

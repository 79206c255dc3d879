"""Images that a request names by URL and documents in base64, made images and texts before decoding, which is pure."""

from __future__ import annotations

from typing import TypeVar

from msgspec.structs import replace

from hyperllama.models import ModelInfo
from hyperllama.web import MAX_IMAGES, Documents, Fetcher, InlineDocuments, InlineImages, NotFetched, TooManyImages
from hyperllama_anthropic import wire
from hyperllama_anthropic.errors import invalid

R = TypeVar("R", bound=wire.PromptFields)
B = TypeVar("B", wire.Block, wire.InnerBlock)


class Inlining:
    """The two of them for one dialect."""

    def __init__(self, fetcher: Fetcher, documents: Documents) -> None:
        self._fetcher = fetcher
        self._documents = documents

    async def of(self, request: R, info: ModelInfo, owner: str) -> R:
        """Return ``request`` with its images and documents inline. A model that sees no images gets none fetched.

        Raises InvalidRequest with the field at fault, and Unavailable while too many documents are being read.
        """
        images = InlineImages(self._fetcher) if self._fetcher and "vision" in info.capabilities else None
        found = _Request(images, self._documents.of_request(owner))
        turns = [
            replace(
                turn,
                content=[
                    await found.block(block, f"messages.{at}.content.{index}")
                    for index, block in enumerate(turn.content)
                ],
            )
            if isinstance(turn.content, list) and any(map(_waits, turn.content))
            else turn
            for at, turn in enumerate(request.messages)
        ]
        return replace(request, messages=turns)


class _Request:
    def __init__(self, images: InlineImages | None, documents: InlineDocuments) -> None:
        self._images = images
        self._documents = documents

    async def block(self, block: wire.Block, param: str) -> wire.Block:
        if isinstance(block.content, list):
            content = [await self._one(inner, f"{param}.content.{at}") for at, inner in enumerate(block.content)]
            block = replace(block, content=content)
        return await self._one(block, param)

    async def _one(self, block: B, param: str) -> B:
        source = block.source
        if not isinstance(source, wire.Source):
            return block
        if block.type == "document" and source.type == "base64":
            try:
                text = await self._documents.base64_text(source.data or "", source.media_type or "", block.title or "")
            except ValueError as error:
                raise invalid(f"{param}.source.data", str(error)) from error
            return replace(block, source=wire.Source(type="text", data=text), title=None)
        if block.type == "image" and source.type == "url" and source.url is not None and self._images is not None:
            return replace(block, source=await self._image(source.url, param))
        return block

    async def _image(self, url: str, param: str) -> wire.Source:
        assert self._images is not None  # noqa: S101 - asked before
        try:
            return wire.Source(type="base64", data=await self._images.fetch(url))
        except TooManyImages as error:
            raise invalid("messages", f"at most {MAX_IMAGES} images are allowed") from error
        except NotFetched as error:
            raise invalid(f"{param}.source.url", f"the image cannot be fetched: {error}") from error


def _waits(block: wire.Block) -> bool:
    return block.source is not None or isinstance(block.content, list)


__all__ = ("Inlining",)

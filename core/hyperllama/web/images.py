"""Images in requests: bytes from base64, and from hosts that the operator named, both bounded."""

from __future__ import annotations

from base64 import b64encode

import msgspec

from hyperllama.messages import Image, Message, Text
from hyperllama.models import ModelInfo
from hyperllama.web.base64_text import from_base64
from hyperllama.web.fetch import Fetcher

MAX_IMAGES = 100  # of one request
MAX_IMAGE_BYTES = 20 * 1024 * 1024
UNSEEN = "[An image was here. This model cannot see images.]"
MAX_FETCHED_BYTES = 40 * 1024 * 1024  # of all images that one request names by URL


class TooManyImages(Exception):
    """More than MAX_IMAGES images by URL in one request."""


class InlineImages:
    """The images that one request names by URL: so many, and so many bytes of all together."""

    def __init__(self, fetcher: Fetcher) -> None:
        self._fetcher = fetcher
        self._count = 0
        self._left = MAX_FETCHED_BYTES

    async def fetch(self, url: str) -> str:
        """Return the image at ``url`` in base64. Raise TooManyImages or what Fetcher.fetch raises."""
        self._count += 1
        if self._count > MAX_IMAGES:
            raise TooManyImages
        data = await self._fetcher.fetch(url, max_bytes=min(MAX_IMAGE_BYTES, self._left))
        self._left -= len(data)
        return b64encode(data).decode("ascii")


def shown_images(messages: tuple[Message, ...], info: ModelInfo) -> tuple[Message, ...]:
    """Return ``messages`` as a model can see them: without eyes, an image in a tool's result is a line of text.

    See decision 009. Others stay, and are refused later: whoever put them there can choose another model.
    """
    if "vision" in info.capabilities or not info.context_length:  # a model whose files are not here is not judged
        return messages
    return tuple(
        msgspec.structs.replace(
            message, parts=tuple(Text(UNSEEN) if isinstance(part, Image) else part for part in message.parts)
        )
        if message.role == "tool" and any(isinstance(part, Image) for part in message.parts)
        else message
        for message in messages
    )


def image_bytes(text: str) -> bytes:
    """Return the bytes that ``text`` spells in base64, padded or not.

    Raise ValueError with one of these texts: "over 20 MiB", "not valid base64" or "empty".
    """
    if len(text) > MAX_IMAGE_BYTES * 4 // 3 + 4:
        raise ValueError(f"over {MAX_IMAGE_BYTES >> 20} MiB")
    data = from_base64(text)
    if not data:
        raise ValueError("empty")
    return data


__all__ = (
    "MAX_FETCHED_BYTES",
    "MAX_IMAGES",
    "MAX_IMAGE_BYTES",
    "UNSEEN",
    "InlineImages",
    "TooManyImages",
    "image_bytes",
    "shown_images",
)

"""Images in requests: bytes from base64, and from hosts that the operator named, both bounded."""

from __future__ import annotations

from base64 import b64decode, b64encode

from hyperllama.web.fetch import Fetcher

MAX_IMAGES = 16  # of one request
MAX_IMAGE_BYTES = 20 * 1024 * 1024
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


def image_bytes(text: str) -> bytes:
    """Return the bytes that ``text`` spells in base64, padded or not.

    Raise ValueError with one of these texts: "over 20 MiB", "not valid base64" or "empty".
    """
    if len(text) > MAX_IMAGE_BYTES * 4 // 3 + 4:
        raise ValueError(f"over {MAX_IMAGE_BYTES >> 20} MiB")
    try:
        data = b64decode(text + "=" * (-len(text) % 4), validate=True)
    except ValueError as error:
        raise ValueError("not valid base64") from error
    if not data:
        raise ValueError("empty")
    return data


__all__ = ("MAX_FETCHED_BYTES", "MAX_IMAGES", "MAX_IMAGE_BYTES", "InlineImages", "TooManyImages", "image_bytes")

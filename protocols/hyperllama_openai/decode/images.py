"""Inline images, as data URLs; those that may be fetched have been inlined before."""

from __future__ import annotations

import re

from hyperllama.messages import Image
from hyperllama.web import image_bytes
from hyperllama_openai.errors import InvalidImage

_DATA_URL = re.compile(
    r"data:(?:image/[\w.+-]{1,64})?(?:;[\w.+-]{1,64}=[^;,]{0,64})*;base64,", re.ASCII | re.IGNORECASE
)


def image(url: str, param: str) -> Image:
    """Return the image of a data URL, its bytes unchecked. Raise InvalidImage."""
    match = _DATA_URL.match(url)
    if match is None:
        if url.startswith("data:"):
            raise InvalidImage(f"Invalid image in '{param}': expected 'data:image/...;base64,...'.", param=param)
        raise InvalidImage(
            f"Invalid image in '{param}': this server fetches no image from there; send it inline as a data URL.",
            param=param,
        )
    try:
        return Image(image_bytes(url[match.end() :]))
    except ValueError as error:
        if str(error).startswith("over"):
            raise InvalidImage(f"The image in '{param}' is {error}.", param=param) from error
        raise InvalidImage(f"Invalid image in '{param}': it is {error}.", param=param) from error


__all__ = ("image",)

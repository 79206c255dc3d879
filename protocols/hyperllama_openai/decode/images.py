"""Images come inline, as data URLs; those that may be fetched have been, before this."""

from __future__ import annotations

import binascii
import re
from base64 import b64decode

from hyperllama.messages import Image
from hyperllama_openai.errors import InvalidImage
from hyperllama_openai.wire import limits

_DATA_URL = re.compile(
    r"data:(?:image/[\w.+-]{1,64})?(?:;[\w.+-]{1,64}=[^;,]{0,64})*;base64,", re.ASCII | re.IGNORECASE
)


def image(url: str, param: str) -> Image:
    """Raises InvalidImage with what is wrong; the bytes themselves are judged by whoever decodes them."""
    match = _DATA_URL.match(url)
    if match is None:
        if url.startswith("data:"):
            raise InvalidImage(f"Invalid image in '{param}': expected 'data:image/...;base64,...'.", param=param)
        raise InvalidImage(
            f"Invalid image in '{param}': this server fetches no image from there; send it inline as a data URL.",
            param=param,
        )
    text = url[match.end() :]
    if len(text) > limits.MAX_IMAGE_BYTES * 4 // 3 + 4:
        raise InvalidImage(f"The image in '{param}' is over {limits.MAX_IMAGE_BYTES >> 20} MiB.", param=param)
    try:
        data = b64decode(text + "=" * (-len(text) % 4), validate=True)
    except (binascii.Error, ValueError) as error:
        raise InvalidImage(f"Invalid image in '{param}': it is not valid base64.", param=param) from error
    if not data:
        raise InvalidImage(f"Invalid image in '{param}': it is empty.", param=param)
    return Image(data)


__all__ = ("image",)
